import CZlib
import Foundation

/// Reads a file front to back, unpacking it on the way; never holds more than one input block.
final class FileByteReader {
  /// Whether the bytes are packed.
  enum Packing {
    case none
    /// With gzip where they start with its signature.
    case gzipIfSigned
    /// With gzip or zlib.
    case deflated
  }

  let path: String
  /// The size of the file on disk.
  let fileSize: Int
  let isCompressed: Bool

  /// Whether several packed members may follow one another.
  private let isGzip: Bool

  private let descriptor: Int32
  private var stream = z_stream()
  private let input: UnsafeMutablePointer<UInt8>
  private var inputCount = 0
  private var inputPosition = 0
  private var reachedEnd = false
  private static let blockSize = 1 << 17

  /// - Parameter offset: where reading starts.
  init(_ file: URL, offset: Int = 0, packing: Packing) throws {
    path = file.path
    (descriptor, fileSize) = try Self.openRegularFile(path)
    input = .allocate(capacity: Self.blockSize)
    if offset > 0 { lseek(descriptor, off_t(offset), SEEK_SET) }
    inputCount = max(0, Foundation.read(descriptor, input, Self.blockSize))
    isGzip = inputCount >= 2 && input[0] == 0x1F && input[1] == 0x8B
    isCompressed = packing == .deflated || packing == .gzipIfSigned && isGzip
    if isCompressed {
      // 32 selects the wrapper by its signature.
      let result = inflateInit2_(&stream, 15 + 32, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
      guard result == Z_OK else {
        close(descriptor)
        input.deallocate()
        throw ImageError.cannotOpen(file: path, reason: "zlib refused to start (\(result))")
      }
    }
  }

  /// Opens a file for reading; pipes, devices and folders are refused.
  static func openRegularFile(_ path: String) throws -> (descriptor: Int32, size: Int) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw ImageError.cannotOpen(file: path, reason: String(cString: strerror(errno)))
    }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw ImageError.cannotOpen(file: path, reason: "not a regular file")
    }
    return (descriptor, Int(status.st_size))
  }

  deinit {
    if isCompressed { inflateEnd(&stream) }
    close(descriptor)
    input.deallocate()
  }

  /// Fills `buffer` unless the file ends first; returns how many bytes it wrote.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    isCompressed ? try readCompressed(buffer) : try readPlain(buffer)
  }

  /// Moves on by up to `count` bytes; returns by how many.
  func skip(_ count: Int) throws -> Int {
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: min(count, 1 << 16) + 1, alignment: 16)
    defer { scratch.deallocate() }
    var skipped = 0
    while skipped < count {
      let wanted = min(count - skipped, 1 << 16)
      let found = try read(into: UnsafeMutableRawBufferPointer(rebasing: scratch[0..<wanted]))
      skipped += found
      if found < wanted { break }
    }
    return skipped
  }

  private func readPlain(_ buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    var filled = 0
    while filled < buffer.count {
      if inputPosition == inputCount {
        try refill()
        if inputCount == 0 { break }
      }
      let count = min(buffer.count - filled, inputCount - inputPosition)
      UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<filled + count]).copyMemory(
        from: UnsafeRawBufferPointer(start: input + inputPosition, count: count))
      filled += count
      inputPosition += count
    }
    return filled
  }

  private func readCompressed(_ buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    guard let base = buffer.bindMemory(to: UInt8.self).baseAddress else { return 0 }
    var filled = 0
    while filled < buffer.count && !reachedEnd {
      if inputPosition == inputCount {
        try refill()
        if inputCount == 0 { break }
      }
      // zlib counts in 32 bits.
      let room = min(buffer.count - filled, 1 << 30)
      stream.next_in = input + inputPosition
      stream.avail_in = UInt32(inputCount - inputPosition)
      stream.next_out = base + filled
      stream.avail_out = UInt32(room)
      let result = inflate(&stream, Z_NO_FLUSH)
      inputPosition = inputCount - Int(stream.avail_in)
      filled += room - Int(stream.avail_out)
      switch result {
      case Z_OK, Z_BUF_ERROR: continue
      case Z_STREAM_END:
        // Parallel compressors write several members one after the other.
        if inputPosition == inputCount { try refill() }
        if isGzip && inputPosition < inputCount && input[inputPosition] == 0x1F {
          inflateReset(&stream)
        } else {
          reachedEnd = true
        }
      default:
        throw ImageError.corrupt(file: path, reason: stream.msg.map { String(cString: $0) } ?? "zlib error \(result)")
      }
    }
    return filled
  }

  private func refill() throws {
    let count = Foundation.read(descriptor, input, Self.blockSize)
    guard count >= 0 else {
      throw ImageError.cannotOpen(file: path, reason: String(cString: strerror(errno)))
    }
    inputCount = count
    inputPosition = 0
  }
}
