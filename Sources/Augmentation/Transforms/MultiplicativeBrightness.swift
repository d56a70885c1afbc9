import TensorCore
import Volumes

/// Multiplies every channel with a factor of its own.
///
/// batchgeneratorsv2: `transforms/intensity/brightness.py`.
public struct MultiplicativeBrightness: SampleTransform, Hashable {
  /// One factor per channel; 1 leaves it as it is.
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
      sample.image.withMutableChannel(channel) {
        kernels.rescale($0, count, 0, factor, 0, -.infinity, .infinity)
      }
    }
  }
}
