import TensorCore
import Volumes

/// Raises every channel, scaled to [0, 1] over its range, to a power of its own, optionally of the negated image, and
/// gives it back its mean and standard deviation.
///
/// batchgeneratorsv2: `transforms/intensity/gamma.py`.
public struct Gamma: SampleTransform, Hashable {
  /// One exponent per channel.
  public typealias Parameters = [Float]

  public var exponent: RandomScalar
  /// Whether the negated image is transformed.
  public var inverts: Bool
  /// Whether mean and standard deviation stay what they were.
  public var retainsStatistics: Bool

  public init(exponent: RandomScalar = .balancedAroundOne(0.7...1.5), inverts: Bool, retainsStatistics: Bool = true) {
    self.exponent = exponent
    self.inverts = inverts
    self.retainsStatistics = retainsStatistics
  }

  public func drawParameters(for sample: TrainingSample, using generator: inout RandomGenerator) -> Parameters {
    (0..<sample.image.channelCount).map { _ in Float(exponent.draw(using: &generator)) }
  }

  public func apply(_ parameters: Parameters, to sample: inout TrainingSample) {
    let count = sample.image.voxelCount
    for (channel, exponent) in parameters.enumerated() {
      sample.image.withMutableChannel(channel) { apply(exponent: exponent, to: $0, count: count) }
    }
  }

  private func apply(exponent: Float, to values: UnsafeMutablePointer<Float>, count: Int) {
    let epsilon: Float = 1e-7
    let kernels = kernels
    let sign: Float = inverts ? -1 : 1
    let before = kernels.summarize(values, count)
    let mean = Float(before.sum / Double(count))
    let minimum = inverts ? -before.maximum : before.minimum
    let range = before.maximum - before.minimum
    let deviation = retainsStatistics ? standardDeviation(values, count, mean: mean) : 1
    kernels.power(values, count, sign, minimum, max(range, epsilon), exponent, range)
    if retainsStatistics {
      let meanHere = Float(kernels.summarize(values, count).sum / Double(count))
      let deviationHere = standardDeviation(values, count, mean: meanHere)
      let factor = deviation / max(deviationHere, epsilon)
      // The mean of the negated image is the negated mean, and negating back cancels it.
      kernels.rescale(values, count, meanHere, sign * factor, mean, -.infinity, .infinity)
    } else if inverts {
      kernels.rescale(values, count, 0, -1, 0, -.infinity, .infinity)
    }
  }

  /// Of a sample: divides by one less than the number of values.
  private func standardDeviation(_ values: UnsafePointer<Float>, _ count: Int, mean: Float) -> Float {
    Float((kernels.squared_deviations(values, count, mean) / Double(max(count - 1, 1))).squareRoot())
  }
}
