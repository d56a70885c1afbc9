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
    box = image.nonzeroBox
    // Outside of the box all is zero, so what is a hole inside of it is one in the whole image.
    var mask = Self.mask(image, in: box)
    if mask.elements.contains(false) { fillHoles(&mask) }
    self.mask = mask
  }

  private static func mask(_ image: VoxelGrid<Float>, in box: BoundingBox) -> VoxelGrid<Bool> {
    let (size, width) = (box.shape, box.shape[2])
    return VoxelGrid<Bool>(shape: [1] + size) { mask in
      image.elements.withUnsafeBufferPointer { values in
        for row in 0..<size[0] * size[1] {
          let (z, y) = (box.lower[0] + row / size[1], box.lower[1] + row % size[1])
          let start = row * width
          for x in 0..<width { mask[start + x] = false }
          for channel in 0..<image.channelCount {
            let source = image.offset(channel, z, y, box.lower[2])
            for x in 0..<width { mask[start + x] = mask[start + x] || values[source + x] != 0 }
          }
        }
      }
    }
  }
}
