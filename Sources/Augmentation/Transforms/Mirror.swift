import TensorCore
import Volumes

/// Flips image and segmentation along each allowed axis with probability one half.
///
/// batchgeneratorsv2: `transforms/spatial/mirroring.py`.
public struct Mirror: SampleTransform, Hashable {
  /// The axes to flip; 0 is z.
  public typealias Parameters = [Int]

  /// 0 is z, also for two-dimensional samples.
  public var allowedAxes: [Int]

  public init(allowedAxes: [Int]) {
    self.allowedAxes = allowedAxes
  }

  public func drawParameters(for sample: TrainingSample, using generator: inout RandomGenerator) -> Parameters {
    allowedAxes.filter { _ in generator.draw(probability: 0.5) }
  }

  public func apply(_ parameters: Parameters, to sample: inout TrainingSample) {
    guard !parameters.isEmpty else { return }
    let copyReversed = kernels.copy_reversed
    let copyLabelsReversed = kernels.copy_labels_reversed
    sample.image = flipped(sample.image, along: parameters) { copyReversed?($0, $1, $2) }
    sample.segmentation = flipped(sample.segmentation, along: parameters) { copyLabelsReversed?($0, $1, $2) }
  }

  private func flipped<Element>(
    _ grid: VoxelGrid<Element>, along axes: [Int],
    copyReversed: (UnsafeMutablePointer<Element>, UnsafePointer<Element>, Int) -> Void
  ) -> VoxelGrid<Element> {
    let size = grid.spatialShape
    let flips = (0..<3).map(axes.contains)
    return VoxelGrid(shape: grid.shape) { destination in
      guard let target = destination.baseAddress else { return }
      grid.elements.withUnsafeBufferPointer { elements in
        guard let source = elements.baseAddress else { return }
        for channel in 0..<grid.channelCount {
          for z in 0..<size[0] {
            let slice = channel * size[0] + (flips[0] ? size[0] - 1 - z : z)
            for y in 0..<size[1] {
              let from = source + (slice * size[1] + (flips[1] ? size[1] - 1 - y : y)) * size[2]
              let to = target + ((channel * size[0] + z) * size[1] + y) * size[2]
              if flips[2] {
                copyReversed(to, from, size[2])
              } else {
                to.update(from: from, count: size[2])
              }
            }
          }
        }
      }
    }
  }
}
