import TensorCore
import Volumes

/// Dilates, erodes, closes or opens one-hot channels of the previous stage's segmentation with a ball of random size,
/// so that the second stage of a cascade does not trust the first too much.
///
/// Voxels that a channel gains are taken from the other channels.
/// batchgeneratorsv2: `transforms/nnunet/random_binary_operator.py`.
public struct RandomBinaryOperator: SampleTransform, Hashable {
  public struct ChannelOperation: Hashable, Sendable {
    /// Counted from the end: -1 is the last channel of the image.
    public var channel: Int
    public var operation: BinaryOperation
    /// In voxels, not necessarily whole.
    public var radius: Double

    public init(channel: Int, operation: BinaryOperation, radius: Double) {
      self.channel = channel
      self.operation = operation
      self.radius = radius
    }
  }
  public typealias Parameters = [ChannelOperation]

  /// The last channels of the image are the one-hot ones.
  public var oneHotCount: Int
  public var channelProbability: Double
  public var radius: ClosedRange<Double>
  /// Whether samples are two-dimensional: a disk instead of a ball.
  public var isPlanar: Bool

  public init(
    oneHotCount: Int, channelProbability: Double = 0.5, radius: ClosedRange<Double> = 1...8, isPlanar: Bool
  ) {
    self.oneHotCount = oneHotCount
    self.channelProbability = channelProbability
    self.radius = radius
    self.isPlanar = isPlanar
  }

  public func drawParameters(for sample: TrainingSample, using generator: inout RandomGenerator) -> Parameters {
    let order = (-oneHotCount..<0).shuffled(using: &generator)
    let chosen = order.filter { _ in generator.draw(probability: channelProbability) }
    return chosen.map { channel in
      let operation = BinaryOperation.allCases[Int.random(in: 0..<BinaryOperation.allCases.count, using: &generator)]
      return ChannelOperation(channel: channel, operation: operation, radius: generator.uniform(in: radius))
    }
  }

  public func apply(_ parameters: Parameters, to sample: inout TrainingSample) {
    let size = sample.image.spatialShape
    let channels = sample.image.channelCount
    let count = sample.image.voxelCount
    for step in parameters {
      let element = isPlanar ? StructuringElement(diskRadius: step.radius) : .init(ballRadius: step.radius)
      let changed = channels + step.channel
      let before = sample.image.withChannel(changed) { BitVolume(size: size, nonzero: $0) }
      guard let before else { continue }
      let after = before.applying(step.operation, with: element)
      sample.image.elements.withUnsafeMutableBufferPointer { image in
        guard let image = image.baseAddress else { return }
        after.write(to: image + changed * count)
        let gained = after.subtracting(before)
        for other in (channels - oneHotCount)..<channels where other != changed {
          gained.clear(in: image + other * count)
        }
      }
    }
  }
}

public enum BinaryOperation: String, CaseIterable, Hashable, Sendable {
  case dilation, erosion, closing, opening
}
