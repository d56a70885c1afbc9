/// What a reader learned about an image and a writer needs to give a segmentation the same place in space.
///
/// Encodes with the keys that nnU-Net uses in its `.pkl` files.
public struct ImageProperties: Codable, Hashable, Sendable {
  /// Millimetres between voxels in array order `[z, y, x]`. For a two-dimensional image the first is 999 times the
  /// largest of the others, so that it is always the coarsest axis.
  public var spacing: [Double]
  /// The geometry as SimpleITK presents it, for readers that follow SimpleITK.
  public var sitkStuff: SimpleITKGeometry?
  /// The geometry as nibabel presents it, for readers that follow nibabel.
  public var nibabelStuff: NibabelGeometry?

  public init(spacing: [Double], sitkStuff: SimpleITKGeometry? = nil, nibabelStuff: NibabelGeometry? = nil) {
    self.spacing = spacing
    self.sitkStuff = sitkStuff
    self.nibabelStuff = nibabelStuff
  }

  private enum CodingKeys: String, CodingKey {
    case spacing
    case sitkStuff = "sitk_stuff"
    case nibabelStuff = "nibabel_stuff"
  }
}

/// Spacing, origin and direction in the axis order `x, y, z` and in the LPS system (x to the patient's left, y to the
/// back, z to the head), as ITK uses them.
public struct SimpleITKGeometry: Codable, Hashable, Sendable {
  /// Millimetres between voxels.
  public var spacing: [Double]
  /// Where the first voxel is, in millimetres.
  public var origin: [Double]
  /// The direction cosines, row by row; column `i` is the direction of axis `i`.
  public var direction: [Double]

  public init(spacing: [Double], origin: [Double], direction: [Double]) {
    self.spacing = spacing
    self.origin = origin
    self.direction = direction
  }
}

/// The affine matrix from voxel indices `(x, y, z)` to millimetres in the RAS system, as nibabel uses it.
public struct NibabelGeometry: Codable, Hashable, Sendable {
  /// Four rows of four.
  public var originalAffine: [[Double]]
  /// The matrix after turning the image to RAS, for the reader that does so.
  public var reorientedAffine: [[Double]]?

  public init(originalAffine: [[Double]], reorientedAffine: [[Double]]? = nil) {
    self.originalAffine = originalAffine
    self.reorientedAffine = reorientedAffine
  }

  private enum CodingKeys: String, CodingKey {
    case originalAffine = "original_affine"
    case reorientedAffine = "reoriented_affine"
  }
}
