import TensorCore
import Volumes

/// Turns the first channel of labels into one 0/1 channel per region; a region is the union of its labels.
///
/// batchgeneratorsv2: `transforms/utils/seg_to_regions.py`.
public struct ConvertToRegions: SampleTransform, Hashable {
  public var regions: [[Int16]]

  public init(regions: [[Int16]]) {
    self.regions = regions
  }

  public func apply(_ parameters: Void, to sample: inout TrainingSample) {
    let source = sample.segmentation
    let count = source.voxelCount
    sample.segmentation = VoxelGrid(shape: [regions.count] + source.spatialShape) { destination in
      guard let target = destination.baseAddress else { return }
      source.withChannel(0) { labels in
        for (channel, region) in regions.enumerated() {
          kernels.region_indicator(target + channel * count, labels, count, region, region.count)
        }
      }
    }
  }
}
