import TensorCore
import Volumes

/// Moves the previous stage's segmentation (channel 1) to the image, one 0/1 channel per label.
///
/// batchgeneratorsv2: `transforms/nnunet/seg_to_onehot.py`.
public struct MoveSegmentationToImage: SampleTransform, Hashable {
  public var sourceChannel: Int
  public var labels: [Int16]

  public init(sourceChannel: Int = 1, labels: [Int16]) {
    self.sourceChannel = sourceChannel
    self.labels = labels
  }

  public func apply(_ parameters: Void, to sample: inout TrainingSample) {
    let (image, segmentation) = (sample.image, sample.segmentation)
    check(
      segmentation.channelCount > sourceChannel,
      "MoveSegmentationToImage: the segmentation has no channel \(sourceChannel)")
    let count = image.voxelCount
    sample.image = VoxelGrid(shape: [image.channelCount + labels.count] + image.spatialShape) { destination in
      guard let target = destination.baseAddress else { return }
      image.withChannel(0) { target.update(from: $0, count: image.channelCount * count) }
      segmentation.withChannel(sourceChannel) { source in
        for (index, label) in labels.enumerated() {
          kernels.label_indicator(target + (image.channelCount + index) * count, source, count, label)
        }
      }
    }
    let kept = (0..<segmentation.channelCount).filter { $0 != sourceChannel }
    sample.segmentation = VoxelGrid(
      shape: [kept.count] + segmentation.spatialShape,
      elements: kept.flatMap { segmentation.elements[$0 * count..<($0 + 1) * count] })
  }
}
