import CZlib
import Foundation

/// Packs bytes as image formats want them.
enum Deflating {
  /// With gzip's header.
  case gzip
  /// With zlib's header, as in MetaImage files.
  case zlib

  /// Hands the packed bytes to `sink`, piece by piece.
  /// - Parameter file: for which they are; named in errors.
  func pack(_ parts: [UnsafeRawBufferPointer], file: URL, sink: (UnsafeRawBufferPointer) throws -> Void) throws {
    var stream = z_stream()
    // 16 selects the gzip wrapper, 8 the usual memory.
    let status = deflateInit2_(
      &stream, 6, Z_DEFLATED, self == .gzip ? 15 + 16 : 15, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
      Int32(MemoryLayout<z_stream>.size))
    guard status == Z_OK else {
      throw ImageError.cannotWrite(file: file.path, reason: "zlib refused to start (\(status))")
    }
    defer { deflateEnd(&stream) }
    let capacity = 1 << 17
    let output = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
    defer { output.deallocate() }
    func pump(_ flush: Int32) throws {
      repeat {
        stream.next_out = output
        stream.avail_out = UInt32(capacity)
        let result = deflate(&stream, flush)
        guard result != Z_STREAM_ERROR else {
          throw ImageError.cannotWrite(file: file.path, reason: "zlib error \(result)")
        }
        try sink(UnsafeRawBufferPointer(start: output, count: capacity - Int(stream.avail_out)))
      } while stream.avail_out == 0
    }
    for part in parts {
      var position = 0
      while position < part.count {
        // zlib counts in 32 bits.
        let count = min(part.count - position, 1 << 30)
        stream.next_in = UnsafeMutablePointer(
          mutating: part.baseAddress?.advanced(by: position).assumingMemoryBound(to: UInt8.self))
        stream.avail_in = UInt32(count)
        try pump(Z_NO_FLUSH)
        position += count
      }
    }
    stream.avail_in = 0
    try pump(Z_FINISH)
  }

  /// The packed bytes in one piece.
  func packed(_ bytes: UnsafeRawBufferPointer, file: URL) throws -> [UInt8] {
    var result: [UInt8] = []
    try pack([bytes], file: file) { result.append(contentsOf: $0) }
    return result
  }
}
