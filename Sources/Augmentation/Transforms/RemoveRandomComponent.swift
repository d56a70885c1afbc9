import TensorCore
import Volumes

/// Removes one connected component, chosen at random among the small ones, from one-hot channels of the previous
/// stage's segmentation.
///
/// batchgeneratorsv2: `transforms/nnunet/remove_connected_components.py`, which never fills with another class in
/// nnU-Net's default training.
public struct RemoveRandomComponent: SampleTransform, Hashable {
  public struct ChannelChoice: Hashable, Sendable {
    /// Counted from the end: -1 is the last channel of the image.
    public var channel: Int
    /// In [0, 1): which of the components, once their number is known.
    public var choice: Double

    public init(channel: Int, choice: Double) {
      self.channel = channel
      self.choice = choice
    }
  }
  public typealias Parameters = [ChannelChoice]

  /// The last channels of the image are the one-hot ones.
  public var oneHotCount: Int
  public var channelProbability: Double
  /// Only components smaller than this part of the patch are removed.
  public var largestFraction: Double

  public init(oneHotCount: Int, channelProbability: Double = 0.5, largestFraction: Double = 0.15) {
    self.oneHotCount = oneHotCount
    self.channelProbability = channelProbability
    self.largestFraction = largestFraction
  }

  public func drawParameters(for sample: TrainingSample, using generator: inout RandomGenerator) -> Parameters {
    let order = (-oneHotCount..<0).shuffled(using: &generator)
    let chosen = order.filter { _ in generator.draw(probability: channelProbability) }
    return chosen.map { ChannelChoice(channel: $0, choice: generator.uniformDouble()) }
  }

  public func apply(_ parameters: Parameters, to sample: inout TrainingSample) {
    let voxels = sample.image.voxelCount
    let limit = Double(voxels) * largestFraction
    for entry in parameters {
      let channel = sample.image.channelCount + entry.channel
      let mask = sample.image.elements[channel * voxels..<(channel + 1) * voxels].map { $0 != 0 }
      let components = ConnectedComponents(VoxelGrid(shape: [1] + sample.image.spatialShape, elements: mask))
      let candidates = components.sizes.indices.filter { Double(components.sizes[$0]) < limit }
      guard !candidates.isEmpty else { continue }
      let chosen = candidates[min(Int(entry.choice * Double(candidates.count)), candidates.count - 1)]
      sample.image.withMutableChannel(channel) { values in
        for (index, label) in components.labels.elements.enumerated() where Int(label) == chosen + 1 {
          values[index] = 0
        }
      }
    }
  }
}
