import TensorCore

/// The part of an image that is not zero.
///
/// nnU-Net: `preprocessing/cropping/cropping.py`.
public struct NonzeroCrop: Sendable {
  /// The smallest box with all voxels of the mask; the whole image if the mask is empty.
  public let box: BoundingBox
  /// Inside of `box`: where some channel is not zero, with holes filled.
  public let mask: VoxelGrid<Bool>

  public init(_ image: VoxelGrid<Float>) {
    var mask = Self.mask(image)
    if mask.elements.contains(false) { fillHoles(&mask) }
    box = Self.box(mask)
    self.mask = mask.cropped(to: box, padding: false)
  }

  private static func mask(_ image: VoxelGrid<Float>) -> VoxelGrid<Bool> {
    let count = image.voxelCount
    return VoxelGrid<Bool>(shape: [1] + image.spatialShape) { mask in
      image.elements.withUnsafeBufferPointer { values in
        for i in 0..<count { mask[i] = values[i] != 0 }
        for channel in 1..<max(1, image.channelCount) {
          let offset = channel * count
          for i in 0..<count { mask[i] = mask[i] || values[offset + i] != 0 }
        }
      }
    }
  }

  private static func box(_ mask: VoxelGrid<Bool>) -> BoundingBox {
    let (depth, height, width) = (mask.shape[1], mask.shape[2], mask.shape[3])
    var lower = [depth, height, width]
    var upper = [0, 0, 0]
    mask.elements.withUnsafeBufferPointer { mask in
      for z in 0..<depth {
        for y in 0..<height {
          let row = mask[(z * height + y) * width..<(z * height + y + 1) * width]
          guard let first = row.firstIndex(of: true) else { continue }
          lower = [min(lower[0], z), min(lower[1], y), min(lower[2], first - row.startIndex)]
          // Only what lies beyond the end found so far can move it.
          var last = width - 1
          while last >= upper[2] && !row[row.startIndex + last] { last -= 1 }
          upper = [z + 1, max(upper[1], y + 1), max(upper[2], last + 1)]
        }
      }
    }
    if upper[0] == 0 { return BoundingBox(lower: [0, 0, 0], upper: [depth, height, width]) }
    return BoundingBox(lower: lower, upper: upper)
  }
}
