import Testing
import Volumes

/// Labels that are made slab by slab against labels made at once.
struct LabelStreamTests {
  struct Setting: Sendable {
    var method: Resampling.Method
    var separatesZ: Bool?
    var from: [Int]
    var to: [Int]
    var spacing: [Double] = [1, 1, 1]
  }

  static let settings = [
    Setting(method: .spline(order: 1, orderZ: 0), separatesZ: nil, from: [9, 7, 6], to: [17, 10, 5]),
    Setting(method: .spline(order: 1, orderZ: 0), separatesZ: nil, from: [20, 7, 6], to: [6, 9, 6]),
    Setting(method: .spline(order: 1, orderZ: 0), separatesZ: nil, from: [1, 7, 6], to: [4, 9, 6]),
    Setting(
      method: .spline(order: 1, orderZ: 0), separatesZ: nil, from: [5, 8, 6], to: [11, 10, 9], spacing: [5, 1, 1]),
    Setting(method: .spline(order: 1, orderZ: 0), separatesZ: nil, from: [6, 8, 6], to: [6, 10, 9]),
    Setting(method: .spline(order: 1, orderZ: 0), separatesZ: nil, from: [11, 8, 6], to: [11, 8, 6]),
    Setting(
      method: .torch(mode: .linear, anisotropicAxisMode: .nearestExact, memoryEfficientSegmentation: false),
      separatesZ: nil, from: [11, 8, 6], to: [15, 12, 9]),
    Setting(method: .none, separatesZ: nil, from: [11, 8, 6], to: [15, 12, 9]),
  ]

  @Test(arguments: settings)
  func equalsLabelsMadeAtOnce(_ setting: Setting) throws {
    let channels = 5
    let count = channels * setting.from.reduce(1, *)
    // A few distinct values, so that ties come up.
    let logits = VoxelGrid<Float>(
      shape: [channels] + setting.from, elements: (0..<count).map { Float(($0 * 7919 + 13) % 23) * 0.25 - 2 })
    let resampling = Resampling(setting.method, separatesZ: setting.separatesZ)
    for rule in [LabelRule.largest, .regions([3, 1, 7, 2, 9])] {
      let expected = resampling.resampleToLabels(
        logits, to: setting.to, currentSpacing: setting.spacing, newSpacing: [1, 1, 1], rule: rule)
      var stream = try #require(
        LabelStream(
          resampling, channelCount: channels, from: setting.from, to: setting.to, currentSpacing: setting.spacing,
          newSpacing: [1, 1, 1], rule: rule))
      var next = 0
      var size = 1
      while next < setting.from[0] {
        let slices = min(size, setting.from[0] - next)
        let first = next
        stream.append(count: slices) { pointer, stride, plane in
          for c in 0..<channels {
            for k in 0..<slices {
              for v in 0..<plane {
                pointer[c * stride + k * plane + v] = logits.elements[(c * setting.from[0] + first + k) * plane + v]
              }
            }
          }
        }
        next += slices
        size = size % LabelStream.slicesAtOnce + 1
      }
      #expect(stream.labels == expected)
    }
  }

  @Test
  func splinesOfOrderThreeNeedEverything() {
    #expect(
      LabelStream(
        Resampling(.spline(order: 3, orderZ: 0)), channelCount: 2, from: [4, 4, 4], to: [8, 8, 8],
        currentSpacing: [1, 1, 1], newSpacing: [1, 1, 1], rule: .largest) == nil)
    #expect(
      LabelStream(
        Resampling(.spline(order: 1, orderZ: 0)), channelCount: 2, from: [4, 4, 4], to: [8, 8, 8],
        currentSpacing: [1, 1, 9], newSpacing: [1, 1, 1], rule: .largest) == nil)
  }
}
