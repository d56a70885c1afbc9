/// Compression in the gzip format (RFC 1952). Written streams carry no name and no time: same input, same bytes.
public enum Gzip {
  /// - Parameter level: 0 (none) to 9 (smallest).
  public static func compress(_ bytes: [UInt8], level: Int = 6) throws -> [UInt8] {
    let deflater = try Deflater(.gzip, level: level, name: "gzip")
    var output: [UInt8] = []
    try bytes.withUnsafeBytes { try deflater.process($0, finish: true) { output.append(contentsOf: $0) } }
    return output
  }

  /// Decompresses all members one after the other and checks their checksums.
  ///
  /// - Parameter maximum: more bytes than this are an error, and are never allocated.
  public static func decompress(_ bytes: [UInt8], maximum: Int = .max, name: String = "gzip") throws -> [UInt8] {
    let reader = try GzipReader(MemoryBytes(bytes, name: name))
    var output: [UInt8] = []
    while true {
      let part = try reader.read(upTo: 1 << 18)
      if part.isEmpty { return output }
      guard output.count <= maximum - part.count else {
        throw ArchiveError(.tooLarge, name, expected: "at most \(maximum) bytes", found: "more")
      }
      output.append(contentsOf: part)
    }
  }
}

/// Reads a gzip file from front to back, in bounded memory.
public final class GzipReader {
  private let source: any ByteSource
  private let inflater: Inflater
  private var input: [UInt8] = []
  private var inputPosition = 0
  private var sourcePosition = 0
  private var isInsideMember = false
  private var hasReadMember = false

  /// Opens a file.
  public convenience init(path: String) throws {
    try self.init(FileBytes(path))
  }

  package init(_ source: any ByteSource) throws {
    self.source = source
    inflater = try Inflater(.gzip, name: source.name)
  }

  /// The next bytes, at most `count`; none at the end.
  public func read(upTo count: Int) throws -> [UInt8] {
    try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      initialized = try read(into: UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count))
    }
  }

  /// Fills `buffer` as far as there are bytes, and returns how many there were.
  public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    var filled = 0
    while filled < buffer.count {
      if inputPosition == input.count, sourcePosition < source.count {
        input = try source.bytes(at: sourcePosition, count: min(1 << 16, source.count - sourcePosition))
        sourcePosition += input.count
        inputPosition = 0
      }
      let isAtEnd = inputPosition == input.count
      if !isInsideMember {
        if isAtEnd {
          guard hasReadMember else { throw truncated() }
          return filled
        }
        // Zeros after the last member are padding (RFC 1952 is silent, gzip accepts them).
        if hasReadMember, input[inputPosition] == 0 {
          inputPosition += 1
          continue
        }
        inflater.reset()
        isInsideMember = true
      }
      let step = try input.withUnsafeBytes { raw in
        try inflater.process(
          UnsafeRawBufferPointer(rebasing: raw[inputPosition...]),
          into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
      }
      inputPosition += step.consumed
      filled += step.produced
      if step.isFinished {
        isInsideMember = false
        hasReadMember = true
      } else if step.consumed == 0, step.produced == 0, isAtEnd {
        throw truncated()
      }
    }
    return filled
  }

  private func truncated() -> ArchiveError {
    ArchiveError(.damaged, source.name, expected: "a whole gzip stream", found: "the end of the file")
  }
}

/// Writes a gzip file from front to back; the file appears when `finish()` is called, whole or not at all.
public final class GzipWriter {
  private let file: AtomicFile
  private let deflater: Deflater

  public init(path: String, level: Int = 6) throws {
    file = try AtomicFile(path)
    deflater = try Deflater(.gzip, level: level, name: path)
  }

  public func write(_ bytes: UnsafeRawBufferPointer) throws {
    try deflater.process(bytes, finish: false) { try file.write($0) }
  }

  public func write(_ bytes: [UInt8]) throws {
    try bytes.withUnsafeBytes { try write($0) }
  }

  /// Ends the stream and gives the file its name.
  public func finish() throws {
    try deflater.process(UnsafeRawBufferPointer(start: nil, count: 0), finish: true) { try file.write($0) }
    try file.commit()
  }
}
