import CZlib

/// The container around a deflate stream.
enum DeflateContainer {
  case raw, gzip
  var windowBits: Int32 { self == .raw ? -15 : 31 }
}

/// What one step of a stream consumed and produced.
struct DeflateStep {
  var consumed = 0
  var produced = 0
  /// Whether the stream has ended.
  var isFinished = false
}

/// A deflate stream being decompressed.
final class Inflater {
  private let stream: UnsafeMutablePointer<z_stream>
  private let name: String

  init(_ container: DeflateContainer, name: String) throws {
    self.name = name
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    guard czlib_inflate_init(stream, container.windowBits) == Z_OK else {
      stream.deallocate()
      throw ArchiveError(.tooLarge, name, expected: "memory for decompression", found: "none")
    }
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
  }

  /// Starts a new stream (the next member of a gzip file).
  func reset() { inflateReset(stream) }

  func process(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) throws -> DeflateStep {
    let inputLength = min(input.count, 1 << 30)
    let outputLength = min(output.count, 1 << 30)
    stream.pointee.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
    stream.pointee.avail_in = UInt32(inputLength)
    stream.pointee.next_out = output.bindMemory(to: UInt8.self).baseAddress
    stream.pointee.avail_out = UInt32(outputLength)
    let status = inflate(stream, Z_NO_FLUSH)
    guard status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR else {
      let message = stream.pointee.msg.map { String(cString: $0) } ?? "status \(status)"
      throw ArchiveError(.damaged, name, expected: "a whole deflate stream", found: message)
    }
    return DeflateStep(
      consumed: inputLength - Int(stream.pointee.avail_in), produced: outputLength - Int(stream.pointee.avail_out),
      isFinished: status == Z_STREAM_END)
  }
}

/// A deflate stream being compressed.
final class Deflater {
  private let stream: UnsafeMutablePointer<z_stream>
  private let name: String
  private var output = [UInt8](repeating: 0, count: 1 << 16)

  /// - Parameter level: 0 (none) to 9 (smallest).
  init(_ container: DeflateContainer, level: Int, name: String) throws {
    self.name = name
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    guard czlib_deflate_init(stream, Int32(min(max(level, 0), 9)), container.windowBits) == Z_OK else {
      stream.deallocate()
      throw ArchiveError(.tooLarge, name, expected: "memory for compression", found: "none")
    }
  }

  deinit {
    deflateEnd(stream)
    stream.deallocate()
  }

  /// Compresses `input` and gives what is ready to `sink`; with `finish` the stream ends.
  func process(
    _ input: UnsafeRawBufferPointer, finish: Bool, sink: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    try process(input, ending: finish ? Z_FINISH : Z_NO_FLUSH, sink: sink)
  }

  /// Gives everything so far to `sink`, up to a byte's end, and forgets it: what follows may be preceded by other
  /// streams' parts.
  func separate(sink: (UnsafeRawBufferPointer) throws -> Void) throws {
    try process(UnsafeRawBufferPointer(start: nil, count: 0), ending: Z_FULL_FLUSH, sink: sink)
  }

  /// Compresses `input` into a part that can stand anywhere between other parts of a raw stream, and does not end it.
  static func part(_ input: UnsafeRawBufferPointer, level: Int, name: String) throws -> [UInt8] {
    let deflater = try Deflater(.raw, level: level, name: name)
    var result: [UInt8] = []
    try deflater.process(input, ending: Z_SYNC_FLUSH) { result.append(contentsOf: $0) }
    return result
  }

  /// - Parameter ending: zlib's flush mode for the end of `input`.
  private func process(
    _ input: UnsafeRawBufferPointer, ending: Int32, sink: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    var position = 0
    repeat {
      let part = min(input.count - position, 1 << 30)
      let flush = position + part == input.count ? ending : Z_NO_FLUSH
      stream.pointee.next_in = UnsafeMutablePointer(
        mutating: input.bindMemory(to: UInt8.self).baseAddress.map { $0 + position })
      stream.pointee.avail_in = UInt32(part)
      var isDone = false
      while !isDone {
        let produced: Int = try output.withUnsafeMutableBytes { raw in
          stream.pointee.next_out = raw.bindMemory(to: UInt8.self).baseAddress
          stream.pointee.avail_out = UInt32(raw.count)
          let status = deflate(stream, flush)
          guard status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR else {
            throw ArchiveError(.cannotWrite, name, expected: "to compress", found: "zlib status \(status)")
          }
          isDone =
            flush == Z_FINISH
            ? status == Z_STREAM_END : stream.pointee.avail_in == 0 && stream.pointee.avail_out > 0
          return raw.count - Int(stream.pointee.avail_out)
        }
        if produced > 0 {
          try output.withUnsafeBytes { try sink(UnsafeRawBufferPointer(rebasing: $0[..<produced])) }
        }
      }
      position += part
    } while position < input.count
  }
}

/// CRC-32 as zip and gzip use it.
package func checksumCRC32(_ bytes: UnsafeRawBufferPointer, continuing value: UInt32 = 0) -> UInt32 {
  UInt32(truncatingIfNeeded: crc32_z(UInt(value), bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count))
}
