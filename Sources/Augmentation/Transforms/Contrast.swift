import TensorCore
import Volumes

/// Stretches every channel about its mean by a factor of its own and clamps to the range it had.
///
/// batchgeneratorsv2: `transforms/intensity/contrast.py` with `preserve_range`.
public struct Contrast: SampleTransform, Hashable {
  /// One factor per channel.
  public typealias Parameters = [Float]

  public var factor: RandomScalar

  public init(factor: RandomScalar = .balancedAroundOne(0.75...1.25)) {
    self.factor = factor
  }

  public func drawParameters(for sample: TrainingSample, using generator: inout RandomGenerator) -> Parameters {
    (0..<sample.image.channelCount).map { _ in Float(factor.draw(using: &generator)) }
  }

  public func apply(_ parameters: Parameters, to sample: inout TrainingSample) {
    let count = sample.image.voxelCount
    for (channel, factor) in parameters.enumerated() {
      sample.image.withMutableChannel(channel) { values in
        let summary = kernels.summarize(values, count)
        let mean = Float(summary.sum / Double(count))
        kernels.rescale(values, count, mean, factor, mean, summary.minimum, summary.maximum)
      }
    }
  }
}
