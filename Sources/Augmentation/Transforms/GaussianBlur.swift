import TensorCore
import Volumes

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Smooths channels with a separable Gaussian whose width is drawn per channel and axis; the image is reflected at
/// its border.
///
/// batchgeneratorsv2: `transforms/noise/gaussian_blur.py`.
public struct GaussianBlur: SampleTransform, Hashable {
  public struct ChannelBlur: Hashable, Sendable {
    public var channel: Int
    /// Standard deviations in voxels along z, y, x; 0 leaves the axis as it is.
    public var sigmas: [Double]

    public init(channel: Int, sigmas: [Double]) {
      self.channel = channel
      self.sigmas = sigmas
    }
  }
  public typealias Parameters = [ChannelBlur]

  /// In voxels.
  public var sigma: ClosedRange<Double>
  public var channelProbability: Double
  /// Whether samples are two-dimensional, so that z is left alone.
  public var isPlanar: Bool

  public init(sigma: ClosedRange<Double> = 0.5...1, channelProbability: Double = 0.5, isPlanar: Bool) {
    self.sigma = sigma
    self.channelProbability = channelProbability
    self.isPlanar = isPlanar
  }

  public func drawParameters(for sample: TrainingSample, using generator: inout RandomGenerator) -> Parameters {
    generator.channels(outOf: sample.image.channelCount, probability: channelProbability).map { channel in
      ChannelBlur(
        channel: channel,
        sigmas: (0..<3).map { isPlanar && $0 == 0 ? 0 : generator.uniform(in: sigma) })
    }
  }

  public func apply(_ parameters: Parameters, to sample: inout TrainingSample) {
    for blur in parameters {
      let taps = blur.sigmas.map(Self.weights)
      let size = sample.image.spatialShape
      sample.image.withMutableChannel(blur.channel) { Self.filter($0, size: size, weights: taps) }
    }
  }

  /// The normalised samples of a Gaussian, odd in number: the odd integer nearest to 6 sigma + 0.5.
  package static func weights(sigma: Double) -> [Float] {
    guard sigma > 0 else { return [1] }
    let wanted = sigma * 6 + 0.5
    var count = Int(wanted.rounded(.toNearestOrEven))
    if count % 2 == 0 { count += wanted >= Double(count) ? 1 : -1 }
    let half = Float(count - 1) / 2
    let densities = (0..<count).map { index -> Float in
      let x = (Float(index) - half) / Float(sigma)
      return exp(-0.5 * x * x)
    }
    let sum = densities.reduce(0, +)
    return densities.map { $0 / sum }
  }

  /// Filters a volume in place along z, then y, then x, slice by slice so that the intermediate results stay cached.
  private static func filter(_ volume: UnsafeMutablePointer<Float>, size: [Int], weights: [[Float]]) {
    let kernels = kernels
    let slice = size[1] * size[2]
    let margin = weights[2].count / 2
    let row = size[2] + 2 * margin
    withScratch((size[0] + 2) * slice + row, of: Float.self) { scratch in
      let result = scratch
      let alongZ = scratch + size[0] * slice
      let alongY = alongZ + slice
      let padded = alongY + slice
      for z in 0..<size[0] {
        let slices: [UnsafePointer<Float>?] = weights[0].indices.map {
          UnsafePointer(volume + reflected(z + $0 - weights[0].count / 2, size[0]) * slice)
        }
        kernels.weighted_sum(alongZ, slice, slices, weights[0], weights[0].count)
        for y in 0..<size[1] {
          let rows: [UnsafePointer<Float>?] = weights[1].indices.map {
            UnsafePointer(alongZ + reflected(y + $0 - weights[1].count / 2, size[1]) * size[2])
          }
          kernels.weighted_sum(alongY + y * size[2], size[2], rows, weights[1], weights[1].count)
        }
        let shifted: [UnsafePointer<Float>?] = weights[2].indices.map { UnsafePointer(padded + $0) }
        for y in 0..<size[1] {
          let source = alongY + y * size[2]
          (padded + margin).update(from: source, count: size[2])
          for offset in 0..<margin {
            padded[offset] = source[reflected(offset - margin, size[2])]
            padded[margin + size[2] + offset] = source[reflected(size[2] + offset, size[2])]
          }
          kernels.weighted_sum(result + z * slice + y * size[2], size[2], shifted, weights[2], weights[2].count)
        }
      }
      volume.update(from: result, count: size[0] * slice)
    }
  }

  /// The index inside 0 ..< count that `index` is the mirror image of, without repeating the border voxel.
  private static func reflected(_ index: Int, _ count: Int) -> Int {
    if count == 1 { return 0 }
    let period = 2 * (count - 1)
    let wrapped = ((index % period) + period) % period
    return wrapped < count ? wrapped : period - wrapped
  }
}
