import TensorCore
import Volumes

/// Sets channels of the image to 0 where the segmentation's first channel is negative: outside of the nonzero mask,
/// for channels that were normalised inside of it.
///
/// batchgeneratorsv2: `transforms/utils/nnunet_masking.py`.
public struct MaskImage: SampleTransform, Hashable {
  public var channels: [Int]

  public init(channels: [Int]) {
    self.channels = channels
  }

  public func apply(_ parameters: Void, to sample: inout TrainingSample) {
    let count = sample.image.voxelCount
    sample.segmentation.withChannel(0) { labels in
      for channel in channels {
        sample.image.withMutableChannel(channel) { kernels.fill_where_negative($0, labels, count, 0) }
      }
    }
  }
}
