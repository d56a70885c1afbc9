import CPNG
import Foundation

/// PNG images as Pillow presents them.
struct PNGFile {
  let width: Int
  let height: Int
  /// 1 grey, 3 RGB, 4 RGBA.
  let channels: Int
  private let bytesPerValue: Int
  private let bytes: [UInt8]
  private let file: URL

  /// Reads the file and understands its header.
  init(_ file: URL) throws {
    self.file = file
    let bytes = try wholeFile(file)
    guard bytes.starts(with: [0x89, 0x50, 0x4E, 0x47]) else {
      throw ImageError.wrongFormat(
        file: file.path, expected: "a PNG image", found: "a file that starts with \(bytes.prefix(4))")
    }
    var image = cpng_image()
    if let reason = cMessage(size: CPNG_MESSAGE_SIZE, { cpng_read_header(bytes, bytes.count, &image, $0) }) {
      throw ImageError.corrupt(file: file.path, reason: reason)
    }
    guard image.channels != 2 else {
      throw ImageError.unsupported(file: file.path, found: "grey with alpha", supported: "grey, RGB or RGBA")
    }
    self.bytes = bytes
    (width, height, channels) = (Int(image.width), Int(image.height), Int(image.channels))
    bytesPerValue = Int(image.bytes_per_value)
    // Deflate packs a thousandfold at best, so a larger promise is a lie.
    guard width * height * channels * bytesPerValue / 1100 <= bytes.count else {
      throw ImageError.badHeader(
        file: file.path, field: "size", found: "\(image.width) x \(image.height)",
        expected: "what a file of \(bytes.count) bytes can hold")
    }
  }

  /// The values of a pixel side by side.
  func read() throws -> [Float] {
    let size = width * height * channels * bytesPerValue
    var reason: String?
    let pixels = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      reason = cMessage(size: CPNG_MESSAGE_SIZE) { cpng_read(bytes, bytes.count, buffer.baseAddress, size, $0) }
      // A file that breaks off leaves rows unwritten.
      if reason != nil { buffer.initialize(repeating: 0) }
      count = size
    }
    if let reason { throw ImageError.corrupt(file: file.path, reason: reason) }
    return pixels.withUnsafeBytes { raw in
      bytesPerValue == 2 ? raw.bindMemory(to: UInt16.self).map(Float.init) : raw.map { Float($0) }
    }
  }

  /// Writes one slice of labels as a grey image.
  static func write(_ segmentation: VoxelGrid<Int16>, to file: URL) throws {
    let (height, width) = (segmentation.shape[2], segmentation.shape[3])
    try LabelEncoding(segmentation, file: file).withBytes { pixels, type in
      var (packed, count): (UnsafeMutablePointer<UInt8>?, Int) = (nil, 0)
      let reason = cMessage(size: CPNG_MESSAGE_SIZE) { message in
        cpng_write_grey(
          pixels.baseAddress, UInt32(width), UInt32(height), UInt32(type.byteCount), &packed, &count, message)
      }
      if let reason { throw ImageError.cannotWrite(file: file.path, reason: reason) }
      defer { cpng_free(packed) }
      try AtomicFile.write(to: file, parts: [UnsafeRawBufferPointer(start: packed, count: count)], compressing: false)
    }
  }
}

/// The bytes of a file that is read in one piece.
func wholeFile(_ file: URL) throws -> [UInt8] {
  do {
    return try Array(Data(contentsOf: file))
  } catch {
    throw ImageError.cannotOpen(file: file.path, reason: error.localizedDescription)
  }
}
