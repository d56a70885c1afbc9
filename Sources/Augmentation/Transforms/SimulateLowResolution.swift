import TensorCore
import Volumes

/// Takes channels down to a lower resolution (nearest voxel) and back up (linear).
///
/// batchgeneratorsv2: `transforms/spatial/low_resolution.py`; torch's `nearest-exact` and `trilinear` interpolation.
public struct SimulateLowResolution: SampleTransform, Hashable {
  public struct ChannelScale: Hashable, Sendable {
    public var channel: Int
    /// Resolution relative to the sample's, z, y, x.
    public var scale: [Double]

    public init(channel: Int, scale: [Double]) {
      self.channel = channel
      self.scale = scale
    }
  }
  public typealias Parameters = [ChannelScale]

  /// One number for all axes of a channel.
  public var scale: ClosedRange<Double>
  public var channelProbability: Double
  /// Axes (0 is z) that keep their resolution.
  public var ignoredAxes: [Int]

  public init(scale: ClosedRange<Double> = 0.5...1, channelProbability: Double = 0.5, ignoredAxes: [Int]) {
    self.scale = scale
    self.channelProbability = channelProbability
    self.ignoredAxes = ignoredAxes
  }

  public func drawParameters(for sample: TrainingSample, using generator: inout RandomGenerator) -> Parameters {
    generator.channels(outOf: sample.image.channelCount, probability: channelProbability).map { channel in
      // Single precision, as the reference keeps it before it rounds the size.
      let drawn = Double(Float(generator.uniform(in: scale)))
      return ChannelScale(channel: channel, scale: (0..<3).map { ignoredAxes.contains($0) ? 1 : drawn })
    }
  }

  public func apply(_ parameters: Parameters, to sample: inout TrainingSample) {
    let size = sample.image.spatialShape
    for entry in parameters {
      let axes = (0..<3).map { AxisResampling(size: size[$0], scale: entry.scale[$0]) }
      sample.image.withMutableChannel(entry.channel) { Self.resample($0, size: size, axes: axes) }
    }
  }

  /// For every voxel along an axis the two source voxels that low-resolution voxels around it were taken from.
  private struct AxisResampling {
    /// For every low-resolution voxel, the source voxel it is a copy of.
    var sources: [Int32] = []
    /// For every voxel, the low-resolution voxels below and above, and how far it is towards the upper one.
    var lower: [Int] = []
    var upper: [Int] = []
    var weights: [Float] = []

    init(size: Int, scale: Double) {
      let count = max(1, Int((Double(size) * scale).rounded(.toNearestOrEven)))
      let down = Float(size) / Float(count)
      sources = (0..<count).map { Int32(min(Int((Float($0) + 0.5) * down), size - 1)) }
      let up = Float(count) / Float(size)
      for index in 0..<size {
        let position = count == size ? Float(index) : max(0, up * (Float(index) + 0.5) - 0.5)
        let below = min(Int(position), count - 1)
        lower.append(below)
        upper.append(min(below + 1, count - 1))
        weights.append(min(max(position - Float(below), 0), 1))
      }
    }
  }

  private static func resample(_ volume: UnsafeMutablePointer<Float>, size: [Int], axes: [AxisResampling]) {
    let kernels = kernels
    let (z, y, x) = (axes[0], axes[1], axes[2])
    let lowerX = x.lower.map { x.sources[$0] }
    let upperX = x.upper.map { x.sources[$0] }
    let width = size[2]
    // Low resolution along z and y, full resolution along x.
    withScratch(z.sources.count * y.sources.count * width, of: Float.self) { rows in
      for (lowZ, sourceZ) in z.sources.enumerated() {
        for (lowY, sourceY) in y.sources.enumerated() {
          kernels.interpolate_row(
            rows + (lowZ * y.sources.count + lowY) * width, width,
            volume + (Int(sourceZ) * size[1] + Int(sourceY)) * width, lowerX, upperX, x.weights)
        }
      }
      for indexZ in 0..<size[0] {
        let below = rows + z.lower[indexZ] * y.sources.count * width
        let above = rows + z.upper[indexZ] * y.sources.count * width
        let weightZ = z.weights[indexZ]
        for indexY in 0..<size[1] {
          let (lowerY, upperY) = (y.lower[indexY] * width, y.upper[indexY] * width)
          let weightY = y.weights[indexY]
          let neighbours: [UnsafePointer<Float>?] = [
            UnsafePointer(below + lowerY), UnsafePointer(below + upperY), UnsafePointer(above + lowerY),
            UnsafePointer(above + upperY),
          ]
          let weights = [
            (1 - weightZ) * (1 - weightY), (1 - weightZ) * weightY, weightZ * (1 - weightY), weightZ * weightY,
          ]
          kernels.weighted_sum(volume + (indexZ * size[1] + indexY) * width, width, neighbours, weights, 4)
        }
      }
    }
  }
}
