import Foundation

/// Two-dimensional PNG, BMP and TIFF images: grey, RGB or RGBA, as nnU-Net sees them through scikit-image. A colour image
/// becomes three or four channels `[C, 1, Y, X]`; the spacing is 1, with 999 between slices.
///
/// nnU-Net: `NaturalImage2DIO`.
public struct NaturalImageReaderWriter: ImageReaderWriter {
  public let name = "NaturalImage2DIO"
  public static let fileEndings = [".png", ".bmp", ".tif"]

  private static let properties = ImageProperties(spacing: [999, 1, 1])

  public init() {}

  public func readImages(_ files: [URL]) throws -> (VoxelGrid<Float>, ImageProperties) {
    let images = try files.map { (file: $0, grid: try NaturalImage($0).read()) }
    guard let first = images.first else { throw ImageError.noFiles }
    for other in images where other.grid.shape != first.grid.shape {
      throw ImageError.mismatch(
        property: "shape", file: first.file.path, value: "\(first.grid.shape)", otherFile: other.file.path,
        otherValue: "\(other.grid.shape)")
    }
    return (VoxelGrid.stacking(images.map(\.grid)), Self.properties)
  }

  public func readProperties(_ file: URL) throws -> (shape: [Int], properties: ImageProperties) {
    (try NaturalImage(file).shape, Self.properties)
  }

  public func readSegmentation(_ file: URL) throws -> (VoxelGrid<Int16>, ImageProperties) {
    (try labels(NaturalImage(file).read(), file: file), Self.properties)
  }

  public func writeSegmentation(_ segmentation: VoxelGrid<Int16>, to file: URL, properties: ImageProperties) throws {
    guard segmentation.channelCount == 1, segmentation.shape[1] == 1 else {
      throw ImageError.cannotWrite(
        file: file.path, reason: "an image file holds one slice, this segmentation has shape \(segmentation.shape)")
    }
    switch file.pathExtension.lowercased() {
    case "tif", "tiff": try TIFFFile.write(segmentation, namesShape: false, to: file)
    case "bmp": try BMPFile.write(segmentation, to: file)
    default: try PNGFile.write(segmentation, to: file)
    }
  }
}

/// An image file whose header is read.
private enum NaturalImage {
  case png(PNGFile)
  case bmp(BMPFile)
  case tiff(TIFFFile)

  init(_ file: URL) throws {
    switch file.pathExtension.lowercased() {
    case "tif", "tiff":
      let image = try TIFFFile(file)
      self = .tiff(image)
      guard Self.layout(image.shape) != nil else {
        throw ImageError.unsupported(
          file: file.path, found: "an image of shape \(image.shape)", supported: "grey, RGB or RGBA, or use Tiff3DIO")
      }
    case "bmp": self = .bmp(try BMPFile(file))
    default: self = .png(try PNGFile(file))
    }
  }

  /// How scikit-image understands an array of shape `[Y, X]`, `[Y, X, 3 or 4]` or `[3 or 4, Y, X]`; where both of the
  /// latter fit, the first counts.
  private static func layout(_ shape: [Int]) -> (channels: Int, height: Int, width: Int, isPlanar: Bool)? {
    if shape.count == 2 { return (1, shape[0], shape[1], false) }
    guard shape.count == 3 else { return nil }
    if (3...4).contains(shape[2]) { return (shape[2], shape[0], shape[1], false) }
    return (3...4).contains(shape[0]) ? (shape[0], shape[1], shape[2], true) : nil
  }

  /// `[C, 1, Y, X]`.
  var shape: [Int] {
    switch self {
    case .png(let image): [image.channels, 1, image.height, image.width]
    case .bmp(let image): [image.channels, 1, image.height, image.width]
    case .tiff(let image):
      Self.layout(image.shape).map { [$0.channels, 1, $0.height, $0.width] } ?? image.shape
    }
  }

  func read() throws -> VoxelGrid<Float> {
    let pixels: [Float]
    switch self {
    case .png(let image): pixels = try image.read()
    case .bmp(let image): pixels = image.read()
    case .tiff(let image):
      pixels = try image.read()
      if Self.layout(image.shape)?.isPlanar ?? false { return VoxelGrid(shape: shape, elements: pixels) }
    }
    let (channels, count) = (shape[0], shape[2] * shape[3])
    if channels == 1 { return VoxelGrid(shape: shape, elements: pixels) }
    return VoxelGrid<Float>(shape: shape) { target in
      for c in 0..<channels {
        for i in 0..<count { target[c * count + i] = pixels[i * channels + c] }
      }
    }
  }
}
