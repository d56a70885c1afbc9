import TensorCore
import Volumes

/// Makes the targets of deep supervision: the segmentation at every scale, nearest voxel.
///
/// batchgeneratorsv2: `transforms/utils/deep_supervision_downsampling.py`; torch's `nearest-exact`.
public struct DownsampleForDeepSupervision: SampleTransform, Hashable {
  /// Per network output its resolution relative to the patch, z, y, x.
  public var scales: [[Double]]

  public init(scales: [[Double]]) {
    check(
      scales.allSatisfy { $0.count == 3 }, "DownsampleForDeepSupervision: scales \(scales) must have three axes")
    self.scales = scales
  }

  public func apply(_ parameters: Void, to sample: inout TrainingSample) {
    let segmentation = sample.segmentation
    sample.targets = scales.map { scale in
      scale.allSatisfy { $0 == 1 } ? segmentation : downsampled(segmentation, by: scale)
    }
  }

  private func downsampled(_ grid: VoxelGrid<Int16>, by scale: [Double]) -> VoxelGrid<Int16> {
    let size = grid.spatialShape
    let result = zip(size, scale).map { max(1, Int((Double($0) * $1).rounded(.toNearestOrEven))) }
    let sources = (0..<3).map { axis -> [Int] in
      let ratio = Float(size[axis]) / Float(result[axis])
      return (0..<result[axis]).map { min(Int((Float($0) + 0.5) * ratio), size[axis] - 1) }
    }
    return VoxelGrid(shape: [grid.channelCount] + result) { destination in
      guard var target = destination.baseAddress else { return }
      grid.elements.withUnsafeBufferPointer { elements in
        guard let labels = elements.baseAddress else { return }
        sources[2].withUnsafeBufferPointer { columns in
          for channel in 0..<grid.channelCount {
            for z in sources[0] {
              for y in sources[1] {
                let row = labels + ((channel * size[0] + z) * size[1] + y) * size[2]
                for x in 0..<columns.count { target[x] = row[columns[x]] }
                target += columns.count
              }
            }
          }
        }
      }
    }
  }
}
