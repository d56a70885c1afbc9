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
      return (image: try NibabelImage(header, file), grid: grid)
    }
    let first = try NibabelImage.checkAgreement(images.map(\.image), warn: warn)
    return (VoxelGrid.stacking(images.map(\.grid)), properties(first))
  }

  public func readProperties(_ file: URL) throws -> (shape: [Int], properties: ImageProperties) {
    let image = try NibabelImage(NIfTIFile.readHeader(file), file)
    return (image.shape, properties(image))
  }

  private func properties(_ image: NibabelImage) -> ImageProperties {
    ImageProperties(spacing: image.spacing, nibabelStuff: NibabelGeometry(originalAffine: image.affine))
  }

  public func readSegmentation(_ file: URL) throws -> (VoxelGrid<Int16>, ImageProperties) {
    let (grid, properties) = try readImages([file])
    return (try labels(grid, file: file), properties)
  }

  public func writeSegmentation(_ segmentation: VoxelGrid<Int16>, to file: URL, properties: ImageProperties) throws {
    guard let affine = properties.nibabelStuff?.originalAffine else {
      throw ImageError.missingGeometry(file: file.path, expected: "nibabel_stuff")
    }
    try NibabelImage.write(segmentation, affine: affine, to: file)
  }
}
