import CPNG
import Foundation

/// Two-dimensional PNG images: grey, RGB or RGBA, as nnU-Net sees them through scikit-image. A colour image becomes
/// three or four channels `[C, 1, Y, X]`; the spacing is 1, with 999 between slices.
///
/// nnU-Net: `NaturalImage2DIO`.
public struct NaturalImageReaderWriter: ImageReaderWriter {
  public static let name = "NaturalImage2DIO"
  public static let fileEndings = [".png"]

  private static let properties = ImageProperties(spacing: [999, 1, 1])

  public init() {}

  public func readImages(_ files: [URL]) throws -> (VoxelGrid<Float>, ImageProperties) {
    let images = try files.map { (file: $0, grid: try Self.read($0)) }
    guard let first = images.first else { throw ImageError.noFiles }
    for other in images where other.grid.shape != first.grid.shape {
      throw ImageError.mismatch(
        property: "shape", file: first.file.path, value: "\(first.grid.shape)", otherFile: other.file.path,
        otherValue: "\(other.grid.shape)")
    }
    return (VoxelGrid.stacking(images.map(\.grid)), Self.properties)
  }

  public func readProperties(_ file: URL) throws -> (shape: [Int], properties: ImageProperties) {
    let image = try Self.readHeader(try Self.bytes(file), file)
    return ([Int(image.channels), 1, Int(image.height), Int(image.width)], Self.properties)
  }

  public func readSegmentation(_ file: URL) throws -> (VoxelGrid<Int16>, ImageProperties) {
    (try labels(Self.read(file), file: file), Self.properties)
  }

  public func writeSegmentation(_ segmentation: VoxelGrid<Int16>, to file: URL, properties: ImageProperties) throws {
    guard segmentation.channelCount == 1, segmentation.shape[1] == 1 else {
      throw ImageError.cannotWrite(
        file: file.path, reason: "a PNG file holds one slice, this segmentation has shape \(segmentation.shape)")
    }
    let (height, width) = (segmentation.shape[2], segmentation.shape[3])
    if let index = segmentation.elements.firstIndex(where: { $0 < 0 }) {
      throw ImageError.badLabel(
        file: file.path, value: Float(segmentation.elements[index]), index: [0, index / width, index % width])
    }
    let size = (segmentation.elements.max() ?? 0) < 255 ? 1 : 2
    let pixels =
      size == 1
      ? segmentation.elements.map { UInt8($0) } : segmentation.elements.withUnsafeBytes { Array($0) }
    var (packed, count): (UnsafeMutablePointer<UInt8>?, Int) = (nil, 0)
    let reason = Self.message { message in
      cpng_write_grey(pixels, UInt32(width), UInt32(height), UInt32(size), &packed, &count, message)
    }
    if let reason { throw ImageError.cannotWrite(file: file.path, reason: reason) }
    defer { cpng_free(packed) }
    try AtomicFile.write(to: file, parts: [UnsafeRawBufferPointer(start: packed, count: count)], compressing: false)
  }

  private static func bytes(_ file: URL) throws -> [UInt8] {
    do {
      return try Array(Data(contentsOf: file))
    } catch {
      throw ImageError.cannotOpen(file: file.path, reason: error.localizedDescription)
    }
  }

  private static func readHeader(_ bytes: [UInt8], _ file: URL) throws -> cpng_image {
    guard bytes.starts(with: [0x89, 0x50, 0x4E, 0x47]) else {
      throw ImageError.wrongFormat(
        file: file.path, expected: "a PNG image", found: "a file that starts with \(bytes.prefix(4))")
    }
    var image = cpng_image()
    if let reason = message({ cpng_read_header(bytes, bytes.count, &image, $0) }) {
      throw ImageError.corrupt(file: file.path, reason: reason)
    }
    guard image.channels != 2 else {
      throw ImageError.unsupported(file: file.path, found: "grey with alpha", supported: "grey, RGB or RGBA")
    }
    // Deflate packs a thousandfold at best, so a larger promise is a lie.
    let size = Int(image.width) * Int(image.height) * Int(image.channels * image.bytes_per_value)
    guard size / 1100 <= bytes.count else {
      throw ImageError.badHeader(
        file: file.path, field: "size", found: "\(image.width) x \(image.height)",
        expected: "what a file of \(bytes.count) bytes can hold")
    }
    return image
  }

  private static func read(_ file: URL) throws -> VoxelGrid<Float> {
    let bytes = try bytes(file)
    let image = try readHeader(bytes, file)
    let (width, height, channels) = (Int(image.width), Int(image.height), Int(image.channels))
    let size = width * height * channels * Int(image.bytes_per_value)
    var reason: String?
    let pixels = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      reason = message { cpng_read(bytes, bytes.count, buffer.baseAddress, size, $0) }
      // A file that breaks off leaves rows unwritten.
      if reason != nil { buffer.initialize(repeating: 0) }
      count = size
    }
    if let reason { throw ImageError.corrupt(file: file.path, reason: reason) }
    return VoxelGrid<Float>(shape: [channels, 1, height, width]) { target in
      pixels.withUnsafeBytes { raw in
        for c in 0..<channels {
          let plane = c * width * height
          if image.bytes_per_value == 2 {
            let values = raw.bindMemory(to: UInt16.self)
            for i in 0..<width * height { target[plane + i] = Float(values[i * channels + c]) }
          } else {
            for i in 0..<width * height { target[plane + i] = Float(raw[i * channels + c]) }
          }
        }
      }
    }
  }

  /// libpng's message if `body` fails.
  private static func message(_ body: (UnsafeMutablePointer<CChar>) -> Int32) -> String? {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(CPNG_MESSAGE_SIZE)) { buffer in
      buffer.initialize(repeating: 0)
      guard let message = buffer.baseAddress, body(message) != 0 else { return nil }
      return String(cString: message)
    }
  }
}
