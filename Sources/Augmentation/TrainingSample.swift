import Volumes

/// One training sample on its way through the augmentation.
public struct TrainingSample: Sendable {
  /// Intensities, `[C, Z, Y, X]`; two-dimensional samples have `Z == 1`.
  public var image: VoxelGrid<Float>
  /// Labels, `[1 or more, Z, Y, X]`: -1 outside of the nonzero mask and outside of the image. A second channel is the
  /// previous stage's segmentation of a cascade; after the conversion to regions there is one 0/1 channel per region.
  public var segmentation: VoxelGrid<Int16>
  /// What the network is compared with, one grid per output, full resolution first. Empty until the pipeline ends.
  public var targets: [VoxelGrid<Int16>]

  public init(image: VoxelGrid<Float>, segmentation: VoxelGrid<Int16>) {
    self.image = image
    self.segmentation = segmentation
    targets = []
  }
}

extension VoxelGrid {
  /// One channel's voxels, row-major `[Z, Y, X]`.
  func withChannel<Result>(_ channel: Int, _ body: (UnsafePointer<Element>) throws -> Result) rethrows -> Result? {
    let voxels = voxelCount
    return try elements.withUnsafeBufferPointer { elements in
      guard let start = elements.baseAddress else { return nil }
      return try body(start + channel * voxels)
    }
  }

  /// One channel's voxels for writing; copies the grid first if somebody else holds it.
  mutating func withMutableChannel<Result>(
    _ channel: Int, _ body: (UnsafeMutablePointer<Element>) throws -> Result
  ) rethrows -> Result? {
    let voxels = voxelCount
    return try elements.withUnsafeMutableBufferPointer { elements in
      guard let start = elements.baseAddress else { return nil }
      return try body(start + channel * voxels)
    }
  }
}
