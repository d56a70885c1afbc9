import Foundation

/// Three-dimensional NIfTI images turned to the RAS orientation (x to the patient's right, y to the front, z to the
/// head) that is closest to their own; segmentations are written in the image's own orientation.
///
/// nnU-Net: `NibabelIOWithReorient`.
public struct NibabelReorientingReaderWriter: ImageReaderWriter {
  public static let name = "NibabelIOWithReorient"
  public static let fileEndings = [".nii", ".nii.gz"]

  private let warn: @Sendable (String) -> Void

  /// - Parameter warn: is told where the channels of an image lie differently in space, which nnU-Net accepts.
  public init(warn: @escaping @Sendable (String) -> Void = printWarning) {
    self.warn = warn
  }

  public func readImages(_ files: [URL]) throws -> (VoxelGrid<Float>, ImageProperties) {
    let images = try files.map { file in
      let (grid, header) = try NIfTIFile.read(file, ignoresLoneIntercept: true)
      var image = try NibabelImage(header, file)
      let orientation = try image.orientation()
      image.reorient(orientation)
      return (image: image, grid: orientation.apply(to: grid))
    }
    let first = try NibabelImage.checkAgreement(images.map(\.image), warn: warn)
    return (VoxelGrid.stacking(images.map(\.grid)), properties(first))
  }

  public func readProperties(_ file: URL) throws -> (shape: [Int], properties: ImageProperties) {
    var image = try NibabelImage(NIfTIFile.readHeader(file), file)
    image.reorient(try image.orientation())
    return (image.shape, properties(image))
  }

  private func properties(_ image: NibabelImage) -> ImageProperties {
    ImageProperties(
      spacing: image.spacing,
      nibabelStuff: NibabelGeometry(originalAffine: image.originalAffine, reorientedAffine: image.affine))
  }

  public func readSegmentation(_ file: URL) throws -> (VoxelGrid<Int16>, ImageProperties) {
    let (grid, properties) = try readImages([file])
    return (try labels(grid, file: file), properties)
  }

  public func writeSegmentation(_ segmentation: VoxelGrid<Int16>, to file: URL, properties: ImageProperties) throws {
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
