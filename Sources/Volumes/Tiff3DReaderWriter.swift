import Foundation

/// Three-dimensional TIFF images: one page per slice. The spacing stands in a JSON file beside them: `CASE.json` for the
/// images `CASE_0000.tif` and for the segmentation `CASE.tif`, with `{"spacing": [z, y, x]}`; without it, it is 1.
///
/// nnU-Net: `Tiff3DIO`.
public struct Tiff3DReaderWriter: ImageReaderWriter {
  public let name = "Tiff3DIO"
  public static let fileEndings = [".tif", ".tiff"]

  private let warn: @Sendable (String) -> Void

  /// - Parameter warn: is told of images without a spacing file.
  public init(warn: @escaping @Sendable (String) -> Void = printWarning) {
    self.warn = warn
  }

  public func readImages(_ files: [URL]) throws -> (VoxelGrid<Float>, ImageProperties) {
    let images = try files.map { (file: $0, grid: try Self.read($0)) }
    guard let first = images.first else { throw ImageError.noFiles }
    for other in images where other.grid.shape != first.grid.shape {
      throw ImageError.mismatch(
        property: "shape", file: first.file.path, value: "\(first.grid.spatialShape)", otherFile: other.file.path,
        otherValue: "\(other.grid.spatialShape)")
    }
    let properties = ImageProperties(spacing: try spacing(Self.spacingFile(ofImage: first.file), for: first.file))
    return (VoxelGrid.stacking(images.map(\.grid)), properties)
  }

  public func readProperties(_ file: URL) throws -> (shape: [Int], properties: ImageProperties) {
    let shape = try Self.shape(TIFFFile(file), file)
    let spacing = try spacing(Self.spacingFile(ofImage: file), for: file)
    return ([1] + shape, ImageProperties(spacing: spacing))
  }

  public func readSegmentation(_ file: URL) throws -> (VoxelGrid<Int16>, ImageProperties) {
    let labels = try labels(Self.read(file), file: file)
    return (labels, ImageProperties(spacing: try spacing(Self.spacingFile(ofSegmentation: file), for: file)))
  }

  /// Also writes the spacing file.
  public func writeSegmentation(_ segmentation: VoxelGrid<Int16>, to file: URL, properties: ImageProperties) throws {
    try TIFFFile.write(segmentation, namesShape: true, to: file)
    let text =
      "{\n    \"spacing\": [\n        "
      + properties.spacing.map { "\($0)" }.joined(separator: ",\n        ") + "\n    ]\n}"
    try Array(text.utf8).withUnsafeBytes {
      try AtomicFile.write(to: Self.spacingFile(ofSegmentation: file), parts: [$0], compressing: false)
    }
  }

  private static func read(_ file: URL) throws -> VoxelGrid<Float> {
    let image = try TIFFFile(file)
    let shape = try shape(image, file)
    return VoxelGrid(shape: [1] + shape, elements: try image.read())
  }

  /// `[Z, Y, X]`.
  private static func shape(_ image: TIFFFile, _ file: URL) throws -> [Int] {
    guard image.shape.count == 3 else {
      throw ImageError.unsupported(
        file: file.path, found: "an image of shape \(image.shape)",
        supported: "a three-dimensional one, or use NaturalImage2DIO")
    }
    return image.shape
  }

  private static func spacingFile(ofSegmentation file: URL) -> URL {
    file.deletingPathExtension().appendingPathExtension("json")
  }

  /// The name without the channel, such as `_0000`.
  private static func spacingFile(ofImage file: URL) -> URL {
    let name = file.deletingPathExtension().lastPathComponent.dropLast(5)
    return file.deletingLastPathComponent().appendingPathComponent(name + ".json")
  }

  private struct SpacingFile: Decodable {
    let spacing: [Double]
  }

  private func spacing(_ file: URL, for image: URL) throws -> [Double] {
    guard FileManager.default.fileExists(atPath: file.path) else {
      warn("\(image.path): there is no spacing file \(file.lastPathComponent), so the spacing is taken to be (1, 1, 1)")
      return [1, 1, 1]
    }
    let spacing: [Double]
    do {
      spacing = try JSONDecoder().decode(SpacingFile.self, from: Data(contentsOf: file)).spacing
    } catch {
      throw ImageError.badHeader(
        file: file.path, field: "spacing", found: "\(error)", expected: "{\"spacing\": [z, y, x]}")
    }
    guard spacing.count == 3, spacing.allSatisfy({ $0.isFinite && $0 > 0 }) else {
      throw ImageError.badHeader(
        file: file.path, field: "spacing", found: "\(spacing)", expected: "three positive numbers, for z, y and x")
    }
    return spacing
  }
}
