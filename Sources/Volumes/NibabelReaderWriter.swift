import Foundation

/// Three-dimensional NIfTI images as nnU-Net sees them through nibabel, in the axis order of SimpleITK: as they are
/// stored, or turned to the RAS orientation (x to the patient's right, y to the front, z to the head) that is closest
/// to their own. Segmentations are written in the image's own orientation.
///
/// nnU-Net: `NibabelIO` and `NibabelIOWithReorient`.
public struct NibabelReaderWriter: ImageReaderWriter {
  public static let fileEndings = [".nii", ".nii.gz"]

  /// Whether images are turned to RAS.
  public let reorients: Bool
  private let warn: @Sendable (String) -> Void

  /// - Parameter warn: is told where the channels of an image lie differently in space, which nnU-Net accepts.
  public init(reorients: Bool = false, warn: @escaping @Sendable (String) -> Void = printWarning) {
    self.reorients = reorients
    self.warn = warn
  }

  public var name: String { reorients ? "NibabelIOWithReorient" : "NibabelIO" }

  public func readImages(_ files: [URL]) throws -> (VoxelGrid<Float>, ImageProperties) {
    let images = try files.map { file in
      let (grid, header) = try NIfTIFile.read(file, ignoresLoneIntercept: true)
      let (image, orientation) = try described(header, file)
      return (image: image, grid: orientation?.apply(to: grid) ?? grid)
    }
    let first = try NibabelImage.checkAgreement(images.map(\.image), warn: warn)
    return (VoxelGrid.stacking(images.map(\.grid)), properties(first))
  }

  public func readProperties(_ file: URL) throws -> (shape: [Int], properties: ImageProperties) {
    let (image, _) = try described(NIfTIFile.readHeader(file), file)
    return (image.shape, properties(image))
  }

  /// The image as this reader presents it, and what has to be done to its voxels for that.
  private func described(_ header: NIfTIHeader, _ file: URL) throws -> (NibabelImage, AxisOrientation?) {
    var image = try NibabelImage(header, file)
    guard reorients else { return (image, nil) }
    let orientation = try image.orientation()
    image.reorient(orientation)
    return (image, orientation)
  }

  private func properties(_ image: NibabelImage) -> ImageProperties {
    ImageProperties(
      spacing: image.spacing,
      nibabelStuff: NibabelGeometry(
        originalAffine: image.originalAffine, reorientedAffine: reorients ? image.affine : nil))
  }

  public func readSegmentation(_ file: URL) throws -> (VoxelGrid<Int16>, ImageProperties) {
    let (grid, properties) = try readImages([file])
    return (try labels(grid, file: file), properties)
  }

  public func writeSegmentation(_ segmentation: VoxelGrid<Int16>, to file: URL, properties: ImageProperties) throws {
    guard reorients else {
      guard let affine = properties.nibabelStuff?.originalAffine else {
        throw ImageError.missingGeometry(file: file.path, expected: "nibabel_stuff")
      }
      return try NibabelImage.write(segmentation, affine: affine, to: file)
    }
    guard let geometry = properties.nibabelStuff, let affine = geometry.reorientedAffine,
      AxisOrientation(affine: affine) != nil, let orientation = AxisOrientation(affine: geometry.originalAffine)
    else {
      throw ImageError.missingGeometry(
        file: file.path, expected: "nibabel_stuff with original_affine and reoriented_affine")
    }
    let back = orientation.inverse
    try NibabelImage.write(
      back.apply(to: segmentation),
      affine: back.apply(toAffine: affine, sizes: segmentation.spatialShape.reversed()), to: file)
  }
}
