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
    let kernels = kernels
    let flips = (0..<3).map(parameters.contains)
    Self.mirror(&sample.image, along: flips, exchange: kernels.exchange, reversed: kernels.exchange_reversed)
    Self.mirror(
      &sample.segmentation, along: flips, exchange: kernels.exchange_labels,
      reversed: kernels.exchange_labels_reversed)
  }

  /// Swaps two rows, given their first voxels and their length.
  private typealias RowExchange<Element> = (UnsafeMutablePointer<Element>?, UnsafeMutablePointer<Element>?, Int) -> Void

  /// Swaps every row with the one it is mirrored to, in place.
  private static func mirror<Element>(
    _ grid: inout VoxelGrid<Element>, along flips: [Bool], exchange: RowExchange<Element>?,
    reversed: RowExchange<Element>?
  ) {
    guard let exchange, let reversed else { return }
    let (slices, rows, width) = (grid.shape[1], grid.shape[2], grid.shape[3])
    for channel in 0..<grid.channelCount {
      grid.withMutableChannel(channel) { voxels in
        for z in 0..<slices {
          for y in 0..<rows {
            let index = z * rows + y
            let partner = (flips[0] ? slices - 1 - z : z) * rows + (flips[1] ? rows - 1 - y : y)
            let row = voxels + index * width
            if partner > index {
              (flips[2] ? reversed : exchange)(row, voxels + partner * width, width)
            } else if partner == index, flips[2] {
              reversed(row, row + (width + 1) / 2, width / 2)
            }
          }
        }
      }
    }
  }
}
