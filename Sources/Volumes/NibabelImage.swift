import CNIfTI
import Foundation

/// A three-dimensional NIfTI file as nibabel presents it, its grid in the axis order of SimpleITK.
struct NibabelImage {
  let file: URL
  /// `[C, Z, Y, X]` of the voxels.
  var shape: [Int]
  /// In array order.
  var spacing: [Double]
  /// From indices `(x, y, z)` to RAS coordinates.
  var affine: [[Double]]
  /// The affine matrix in the file.
  let originalAffine: [[Double]]

  init(_ header: NIfTIHeader, _ file: URL) throws {
    self.file = file
    guard header.sizes.count == 3 else {
      throw ImageError.unsupported(
        file: file.path, found: "\(header.sizes.count) axes", supported: "3-D images, or use SimpleITKIO")
    }
    shape = header.gridShape
    spacing = header.pixelSizes[0..<3].reversed().map { Double(abs($0)) }
    guard spacing.allSatisfy({ $0.isFinite && $0 > 0 }) else {
      throw ImageError.badHeader(file: file.path, field: "pixdim", found: "\(spacing)", expected: "positive numbers")
    }
    originalAffine = header.nibabelAffine()
    affine = originalAffine
    guard affine.allSatisfy({ $0.allSatisfy(\.isFinite) }) else {
      throw ImageError.badHeader(
        file: file.path, field: "affine matrix", found: "\(affine)", expected: "finite numbers")
    }
  }

  /// What turns the image to RAS.
  func orientation() throws -> AxisOrientation {
    guard let orientation = AxisOrientation(affine: originalAffine) else {
      throw ImageError.badHeader(
        file: file.path, field: "affine matrix", found: "\(originalAffine)", expected: "axes of independent directions")
    }
    return orientation
  }

  /// Turns the description of the image, not its voxels.
  mutating func reorient(_ orientation: AxisOrientation) {
    // nibabel leaves such an image as it is, with the spacing that its header names.
    if orientation == .identity { return }
    let sizes = Array(shape[1...].reversed())
    affine = orientation.apply(toAffine: affine, sizes: sizes)
    for (source, axis) in orientation.axes.enumerated() { shape[3 - axis.target] = sizes[source] }
    spacing = Self.spacing(affine).reversed().map(Double.init)
  }

  /// Lengths of the axes, as nibabel puts them into headers.
  private static func spacing(_ affine: [[Double]]) -> [Float] {
    (0..<3).map { column in
      Float((0..<3).reduce(0) { $0 + affine[$1][column] * affine[$1][column] }.squareRoot())
    }
  }

  /// Refuses channels of different shape or spacing; tells `warn` of different matrices.
  static func checkAgreement(_ images: [NibabelImage], warn: (String) -> Void) throws -> NibabelImage {
    guard let first = images.first else { throw ImageError.noFiles }
    for other in images.dropFirst() {
      func mismatch(_ property: String, _ value: String, _ otherValue: String) -> ImageError {
        .mismatch(
          property: property, file: first.file.path, value: value, otherFile: other.file.path, otherValue: otherValue)
      }
      guard first.shape[1...] == other.shape[1...] else {
        throw mismatch("shape", "\(first.shape[1...])", "\(other.shape[1...])")
      }
      guard allClose(first.spacing, other.spacing) else {
        throw mismatch("spacing", "\(first.spacing)", "\(other.spacing)")
      }
      if !allClose(first.affine.flatMap { $0 }, other.affine.flatMap { $0 }) {
        warn(
          "channels of one image differ in their affine matrix: \(first.file.path) has \(first.affine), "
            + "\(other.file.path) has \(other.affine); the first is used")
      }
    }
    return first
  }

  /// Writes a label map as nibabel saves a new image with this affine matrix.
  static func write(_ segmentation: VoxelGrid<Int16>, affine: [[Double]], to file: URL) throws {
    guard affine.count == 4, affine.allSatisfy({ $0.count == 4 }) else {
      throw ImageError.missingGeometry(file: file.path, expected: "affine matrix of four rows of four")
    }
    let matrix = NIfTIFile.matrix(affine.map { $0.map(Float.init) })
    // 2 is NIFTI_XFORM_ALIGNED_ANAT, which nibabel gives a new image's sform; its qform it calls unknown.
    let orientation = NIfTIFile.Orientation(
      spacing: spacing(affine), qform: matrix, sform: matrix, qformCode: 0, sformCode: 2, namesUnits: false)
    try LabelEncoding(segmentation, file: file).withBytes { bytes, type in
      try NIfTIFile.write(
        bytes, type: type, sizes: segmentation.spatialShape.reversed(), orientation: orientation, to: file)
    }
  }
}
