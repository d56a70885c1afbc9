import TensorCore
import Volumes

/// Adds independent normal noise to every voxel, of one standard deviation for all channels.
///
/// batchgeneratorsv2: `transforms/intensity/gaussian_noise.py` with `synchronize_channels`. What is called a variance
/// there is used as the standard deviation, and so it is here.
public struct GaussianNoise: SampleTransform, Hashable {
  public struct Parameters: Hashable, Sendable {
    public var channels: [Int]
    public var deviation: Float
    /// Selects the stream of normal numbers; channels take consecutive keys.
    public var key: UInt64

    public init(channels: [Int], deviation: Float, key: UInt64) {
      self.channels = channels
      self.deviation = deviation
      self.key = key
    }
  }

  public var deviation: ClosedRange<Double>
  public var channelProbability: Double

  public init(deviation: ClosedRange<Double> = 0...0.1, channelProbability: Double = 1) {
    self.deviation = deviation
    self.channelProbability = channelProbability
  }

  public func drawParameters(for sample: TrainingSample, using generator: inout RandomGenerator) -> Parameters {
    let channels = generator.channels(outOf: sample.image.channelCount, probability: channelProbability)
    return Parameters(
      channels: channels, deviation: Float(generator.uniform(in: deviation)), key: generator.next())
  }

  public func apply(_ parameters: Parameters, to sample: inout TrainingSample) {
    let count = sample.image.voxelCount
    for channel in parameters.channels {
      sample.image.withMutableChannel(channel) {
        kernels.add_noise($0, count, parameters.deviation, parameters.key &+ UInt64(channel))
      }
    }
  }
}
