import CNIfTI
import Foundation

/// Three-dimensional NIfTI images as nnU-Net sees them through nibabel, in the axis order of SimpleITK.
///
/// nnU-Net: `NibabelIO`.
public struct NibabelReaderWriter: ImageReaderWriter {
  public static let name = "NibabelIO"
  public static let fileEndings = [".nii", ".nii.gz"]

  private let warn: @Sendable (String) -> Void

  /// - Parameter warn: is told where the channels of an image lie differently in space, which nnU-Net accepts.
  public init(warn: @escaping @Sendable (String) -> Void = printWarning) {
    self.warn = warn
  }

  public func readImages(_ files: [URL]) throws -> (VoxelGrid<Float>, ImageProperties) {
    let images = try files.map { file in
      let (grid, header) = try NIfTIFile.read(file, ignoresLoneIntercept: true)
      return (file: file, grid: grid, spacing: try spacing(header, file), affine: header.nibabelAffine())
    }
    guard let first = images.first else { throw ImageError.noFiles }
    for other in images.dropFirst() {
      guard first.grid.spatialShape == other.grid.spatialShape else {
        throw ImageError.mismatch(
          property: "shape", file: first.file.path, value: "\(first.grid.spatialShape)", otherFile: other.file.path,
          otherValue: "\(other.grid.spatialShape)")
      }
      guard allClose(first.spacing, other.spacing) else {
        throw ImageError.mismatch(
          property: "spacing", file: first.file.path, value: "\(first.spacing)", otherFile: other.file.path,
          otherValue: "\(other.spacing)")
      }
      if !allClose(first.affine.flatMap { $0 }, other.affine.flatMap { $0 }) {
        warn(
          "channels of one image differ in their affine matrix: \(first.file.path) has \(first.affine), "
            + "\(other.file.path) has \(other.affine); the first is used")
      }
    }
    let properties = ImageProperties(
      spacing: first.spacing, nibabelStuff: NibabelGeometry(originalAffine: first.affine))
    return (VoxelGrid.stacking(images.map(\.grid)), properties)
  }

  public func readProperties(_ file: URL) throws -> (shape: [Int], properties: ImageProperties) {
    let header = try NIfTIFile.readHeader(file)
    let properties = ImageProperties(
      spacing: try spacing(header, file), nibabelStuff: NibabelGeometry(originalAffine: header.nibabelAffine()))
    return (header.gridShape, properties)
  }

  private func spacing(_ header: NIfTIHeader, _ file: URL) throws -> [Double] {
    guard header.sizes.count == 3 else {
      throw ImageError.unsupported(
        file: file.path, found: "\(header.sizes.count) axes", supported: "3-D images, or use SimpleITKIO")
    }
    return header.pixelSizes[0..<3].reversed().map { Double(abs($0)) }
  }

  public func readSegmentation(_ file: URL) throws -> (VoxelGrid<Int16>, ImageProperties) {
    let (grid, properties) = try readImages([file])
    return (try labels(grid, file: file), properties)
  }

  public func writeSegmentation(_ segmentation: VoxelGrid<Int16>, to file: URL, properties: ImageProperties) throws {
    guard let affine = properties.nibabelStuff?.originalAffine else {
      throw ImageError.missingGeometry(file: file.path, expected: "nibabel_stuff")
    }
    let matrix = affine.map { $0.map(Float.init) }
    let spacing = (0..<3).map { column in
      (0..<3).reduce(Float(0)) { $0 + matrix[$1][column] * matrix[$1][column] }.squareRoot()
    }
    // 2 is NIFTI_XFORM_ALIGNED_ANAT, which nibabel gives a new image's sform; its qform it calls unknown.
    let orientation = NIfTIFile.Orientation(
      spacing: spacing, qform: NIfTIFile.matrix(matrix), sform: NIfTIFile.matrix(matrix), qformCode: 0, sformCode: 2,
      namesUnits: false)
    try NIfTIFile.writeLabels(segmentation, isTwoDimensional: false, orientation: orientation, to: file)
  }
}
