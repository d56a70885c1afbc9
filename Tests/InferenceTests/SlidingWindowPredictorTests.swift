import Datasets
import Foundation
import GraphCompiler
import Inference
import NeuralNetworks
import Synchronization
import TensorCore
import TensorTestSupport
import Testing
import Volumes

/// The predictor against a plain computation in Double, with functions in place of networks.
struct SlidingWindowPredictorTests {
  struct Setting: CustomTestStringConvertible, Sendable {
    var imageShape: [Int]
    var patchSize: [Int]
    var axes: [Int]
    var folds: Int
    var stepSize = 0.5
    var testDescription: String { "\(imageShape) \(patchSize) \(axes) \(folds)" }
  }

  static let settings = [
    Setting(imageShape: [2, 9, 7, 11], patchSize: [4, 6, 8], axes: [], folds: 1),
    Setting(imageShape: [1, 3, 7, 5], patchSize: [6, 4, 8], axes: [0, 2], folds: 2),
    Setting(imageShape: [2, 17, 8, 9], patchSize: [4, 8, 6], axes: [0, 1, 2], folds: 3, stepSize: 0.7),
    Setting(imageShape: [3, 4, 9, 6], patchSize: [6, 8], axes: [0, 1], folds: 2),
    Setting(imageShape: [1, 2, 5, 16], patchSize: [8, 8], axes: [1], folds: 1, stepSize: 1),
  ]

  @Test(arguments: settings)
  func equalsPlainComputation(_ setting: Setting) throws {
    var generator = NumPyRandomState(seed: 3)
    let image = VoxelGrid<Float>(
      shape: setting.imageShape,
      elements: (0..<setting.imageShape.reduce(1, *)).map { _ in Float(generator.uniform()) - 0.5 })
    let heads = 2
    let predictor = SlidingWindowPredictor(
      forwards: (0..<setting.folds).map { fold in { Self.network($0, heads: heads, fold: fold) } }, headCount: heads,
      patchSize: setting.patchSize, allowedMirroringAxes: setting.axes, stepSize: setting.stepSize,
      usesGaussian: true, precision: .float32)
    let calls = Mutex<[TileProgress]>([])
    let logits = try predictor.predictLogits(of: image) { progress in calls.withLock { $0.append(progress) } }
    let (expected, weights) = Self.plain(image, setting, heads: heads)
    expectClose(
      logits.elements, shape: logits.shape, expected, shape: [heads] + setting.imageShape.dropFirst(), absolute: 2e-6,
      relativeToMaximum: 0)
    #expect(calls.withLock { $0.last?.fraction } == 1)
    #expect(calls.withLock { $0.last.map { $0.tilesDone == $0.tileCount } } == true)
    // The same function in nnU-Net's float16 steps differs by their rounding only.
    let rounded = try SlidingWindowPredictor(
      forwards: (0..<setting.folds).map { fold in { Self.network($0, heads: heads, fold: fold) } }, headCount: heads,
      patchSize: setting.patchSize, allowedMirroringAxes: setting.axes, stepSize: setting.stepSize,
      usesGaussian: true, precision: .reference
    ).predictLogits(of: image)
    var worst: Float = 0
    for (index, (a, b)) in zip(rounded.elements, expected).enumerated() where weights[index] > 0.01 {
      worst = max(worst, abs(a - b))
    }
    #expect(worst < 0.01)
  }

  /// Sums that are rounded need the nearest addends: no convolution may take a way with larger errors.
  @Test
  func referencePrecisionComputesConvolutionsDirectly() throws {
    let stages = [16, 32].enumerated().map { index, features in
      UNetArchitecture.Stage(
        features: features, kernelSize: [3, 3, 3], stride: [index + 1, index + 1, index + 1], blockCount: 2)
    }
    let network = UNet(
      UNetArchitecture(
        kind: .plainConvUNet, dimensions: 3, stages: stages, decoderBlockCounts: [2], deepSupervision: false),
      inputChannels: 1, headCount: 3)
    var generator = RandomGenerator(seed: 1)
    let parameters = network.initialParameters(&generator)
    func convolutions(_ precision: LogitsPrecision) throws -> [Substring] {
      let predictor = SlidingWindowPredictor(
        network: network, parameterSets: [parameters], patchSize: [32, 32, 32], allowedMirroringAxes: [],
        precision: precision)
      let compiled = try #require(predictor.compiled)
      compiled.prepare()
      let graph = try #require(compiled.graphs.first).final
      return graph.text(algorithmsIn: .standard).split(separator: "\n").filter { $0.contains("Convolution") }
    }
    let found = try convolutions(.reference)
    #expect(found.count == 8 && found.allSatisfy { $0.contains("[direct]") }, "\(found)")
    if ProcessInfo.processInfo.environment["nnUNet_conv_algorithm"] == nil {
      let fastest = try convolutions(.float32)
      #expect(fastest.contains { $0.contains("[winograd") }, "\(fastest)")
    }
  }

  @Test
  func cancellationEndsThePrediction() throws {
    let cancellation = Cancellation()
    let predictor = SlidingWindowPredictor(
      forwards: [{ Self.network($0, heads: 1, fold: 0) }], headCount: 1, patchSize: [64, 64, 64],
      allowedMirroringAxes: [], stepSize: 0.5, usesGaussian: true, precision: .float32)
    let image = VoxelGrid<Float>(shape: [1, 64, 128, 128], repeating: 1)
    #expect(throws: CancellationError.self) {
      try predictor.predictLogits(of: image, cancellation: cancellation) { _ in cancellation.cancel() }
    }
  }

  @Test
  func infiniteLogitsAreAnError() throws {
    let predictor = SlidingWindowPredictor(
      forwards: [{ _ in Tensor(repeating: .infinity, shape: [1, 4, 4, 4, 2]) }], headCount: 2, patchSize: [4, 4, 4],
      allowedMirroringAxes: [], stepSize: 0.5, usesGaussian: true, precision: .float32)
    #expect(throws: InferenceError.nonFiniteLogits) {
      try predictor.predictLogits(of: VoxelGrid<Float>(shape: [1, 4, 4, 4], repeating: 1))
    }
  }

  /// Depends on neighbours to one side, on the position in the patch and on the fold, so that no mistake in flips,
  /// places or weights cancels out.
  static func network(_ input: Tensor, heads: Int, fold: Int) -> Tensor {
    let extents = input.shape.extents
    let channels = input.shape.channels
    let spatial = Array(extents[1..<(extents.count - 1)])
    let voxels = spatial.reduce(1, *)
    return input.withElements(as: Float.self) { x in
      Tensor(shape: Shape(extents.dropLast() + [heads]), of: Float.self) { y in
        for n in 0..<extents[0] {
          for voxel in 0..<voxels {
            for head in 0..<heads {
              var value = Float(voxel % 13) * 0.01 * Float(fold + 1)
              for c in 0..<channels {
                let here = (n * voxels + voxel) * channels + c
                let next = (n * voxels + (voxel + 1) % voxels) * channels + c
                value += x[here] * Float(head + 1) + 0.5 * x[next] * Float(c + 1)
              }
              y[(n * voxels + voxel) * heads + head] = value
            }
          }
        }
      }
    }
  }

  static func plain(_ image: VoxelGrid<Float>, _ setting: Setting, heads: Int) -> (logits: [Float], weights: [Double]) {
    let window = SlidingWindow(
      imageShape: image.spatialShape, patchSize: setting.patchSize, stepSize: setting.stepSize)
    let importance = GaussianImportance(tileShape: setting.patchSize, precision: .float32)
    let (tile, padded, before) = (window.tileShape, window.paddedShape, window.paddingBefore)
    let channels = image.channelCount
    let axes = setting.patchSize.count == 2 ? setting.axes.map { $0 + 1 } : setting.axes
    var sums = [Double](repeating: 0, count: heads * padded.reduce(1, *))
    var totals = [Double](repeating: 0, count: padded.reduce(1, *))
    for corner in window.tiles {
      for mask in 0..<(1 << axes.count) {
        let flipped = axes.indices.filter { mask >> $0 & 1 == 1 }.map { axes[$0] }
        for fold in 0..<setting.folds {
          func place(_ voxel: Int) -> [Int] {
            var position = [voxel / (tile[1] * tile[2]), voxel / tile[2] % tile[1], voxel % tile[2]]
            for axis in flipped { position[axis] = tile[axis] - 1 - position[axis] }
            return [corner.z + position[0], corner.y + position[1], corner.x + position[2]]
          }
          let voxels = tile.reduce(1, *)
          var input = [Float](repeating: 0, count: voxels * channels)
          for voxel in 0..<voxels {
            let p = zip(place(voxel), before).map { $0 - $1 }
            guard (0..<3).allSatisfy({ p[$0] >= 0 && p[$0] < image.shape[$0 + 1] }) else { continue }
            for c in 0..<channels { input[voxel * channels + c] = image[c, p[0], p[1], p[2]] }
          }
          let output = network(
            Tensor(input, shape: Shape([1] + setting.patchSize + [channels])), heads: heads, fold: fold
          ).elements()
          for voxel in 0..<voxels {
            let p = place(voxel)
            let local = [p[0] - corner.z, p[1] - corner.y, p[2] - corner.x]
            let weight = Double(importance.weights[(local[0] * tile[1] + local[1]) * tile[2] + local[2]])
            let target = (p[0] * padded[1] + p[1]) * padded[2] + p[2]
            totals[target] += weight
            for head in 0..<heads {
              sums[head * padded.reduce(1, *) + target] += weight * Double(output[voxel * heads + head])
            }
          }
        }
      }
    }
    var result: [Float] = []
    var weights: [Double] = []
    for head in 0..<heads {
      for z in 0..<image.shape[1] {
        for y in 0..<image.shape[2] {
          for x in 0..<image.shape[3] {
            let source = ((z + before[0]) * padded[1] + y + before[1]) * padded[2] + x + before[2]
            weights.append(totals[source] / Double(setting.folds << axes.count))
            result.append(Float(sums[head * padded.reduce(1, *) + source] / totals[source]))
          }
        }
      }
    }
    return (result, weights)
  }
}
