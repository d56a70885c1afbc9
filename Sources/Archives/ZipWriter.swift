/// Writes a zip file, entry by entry and each entry piece by piece; zip64 where sizes need it.
///
/// The file appears when `create` returns, whole or not at all. Same entries, same bytes: no times are stored.
public final class ZipWriter {
  /// How an entry is stored.
  public enum Method: Sendable, Equatable {
    case stored
    /// Level 1 (fast) to 9 (small).
    case deflated(level: Int)
  }

  private struct Finished {
    var name: [UInt8]
    var method: UInt16
    var checksum: UInt32
    var compressedSize: Int
    var size: Int
    var headerOffset: Int
  }

  private struct Current {
    var name: [UInt8]
    var deflater: Deflater?
    var level: Int
    var headerOffset: Int
    var dataOffset: Int
    var checksum: UInt32 = 0
    var size = 0
  }

  private let file: AtomicFile
  private var finished: [Finished] = []
  private var current: Current?
  /// 1980-01-01, the earliest date that zip can name.
  private static let date: UInt16 = 0x21

  private init(_ file: AtomicFile) { self.file = file }

  /// Creates a zip file; if `body` throws, nothing remains and a file of that name stays as it was.
  public static func create<Result>(
    atomicallyAt path: String, _ body: (ZipWriter) throws -> Result
  ) throws -> Result {
    try AtomicFile.write(to: path) { file in
      let writer = ZipWriter(file)
      let result = try body(writer)
      if writer.current != nil { try writer.endEntry() }
      try writer.writeDirectory()
      return result
    }
  }

  /// Adds an entry with these contents.
  public func add(_ name: String, _ bytes: [UInt8], method: Method = .deflated(level: 6)) throws {
    try beginEntry(name, method: method)
    try bytes.withUnsafeBytes { try write($0) }
    try endEntry()
  }

  /// Starts an entry, whose contents follow by `write`. An entry that is still open is ended.
  public func beginEntry(_ name: String, method: Method = .deflated(level: 6)) throws {
    if current != nil { try endEntry() }
    let nameBytes = Array(name.utf8)
    guard !nameBytes.isEmpty, nameBytes.count <= 65535 else {
      throw ArchiveError(
        .cannotWrite, file.path, expected: "an entry name of 1 to 65535 bytes", found: "\(nameBytes.count)")
    }
    var deflater: Deflater?
    var level = 0
    if case .deflated(let asked) = method {
      level = asked
      deflater = try Deflater(.raw, level: level, name: file.path)
    }
    let headerOffset = file.position
    // The sizes are not known yet: they go into a zip64 field that is filled when the entry ends.
    try file.write(
      localHeader(name: nameBytes, method: deflater == nil ? 0 : 8, checksum: 0, compressedSize: 0, size: 0))
    current = Current(
      name: nameBytes, deflater: deflater, level: level, headerOffset: headerOffset, dataOffset: file.position)
  }

  /// Appends to the entry that is open.
  public func write(_ bytes: UnsafeRawBufferPointer) throws {
    guard var entry = current else {
      throw ArchiveError(.cannotWrite, file.path, expected: "an open entry", found: "none")
    }
    entry.checksum = checksumCRC32(bytes, continuing: entry.checksum)
    entry.size += bytes.count
    if let deflater = entry.deflater {
      if !bytes.isEmpty { try deflater.process(bytes, finish: false) { try file.write($0) } }
    } else {
      try file.write(bytes)
    }
    current = entry
  }

  /// Runs `body` for the numbers below a count, perhaps on several threads, and returns when all are done.
  public typealias TaskRunner = (_ count: Int, _ body: (Int) -> Void) -> Void

  /// Appends to the entry that is open, and compresses pieces of 1 MiB side by side. The file depends on the bytes and
  /// on how they are divided among calls, not on the threads.
  public func write(_ bytes: UnsafeRawBufferPointer, using runTasks: TaskRunner) throws {
    guard var entry = current, let deflater = entry.deflater else { return try write(bytes) }
    entry.checksum = checksumCRC32(bytes, continuing: entry.checksum)
    entry.size += bytes.count
    current = entry
    try deflater.separate { try file.write($0) }
    let pieceSize = 1 << 20
    // So many at a time that their results take little memory.
    let piecesAtOnce = 32
    for start in stride(from: 0, to: bytes.count, by: pieceSize * piecesAtOnce) {
      let group = UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + pieceSize * piecesAtOnce, bytes.count)])
      let count = (group.count + pieceSize - 1) / pieceSize
      var parts = [Result<[UInt8], any Error>](repeating: .success([]), count: count)
      let (level, name) = (entry.level, file.path)
      parts.withUnsafeMutableBufferPointer { parts in
        let parts = parts
        runTasks(count) { piece in
          let range = piece * pieceSize..<min((piece + 1) * pieceSize, group.count)
          parts[piece] = Result {
            try Deflater.part(UnsafeRawBufferPointer(rebasing: group[range]), level: level, name: name)
          }
        }
      }
      for part in parts { try file.write(part.get()) }
    }
  }

  /// Appends to the entry that is open.
  public func write(_ bytes: [UInt8]) throws {
    try bytes.withUnsafeBytes { try write($0) }
  }

  /// Ends the entry that is open.
  public func endEntry() throws {
    guard let entry = current else { return }
    if let deflater = entry.deflater {
      try deflater.process(UnsafeRawBufferPointer(start: nil, count: 0), finish: true) { try file.write($0) }
    }
    let result = Finished(
      name: entry.name, method: entry.deflater == nil ? 0 : 8, checksum: entry.checksum,
      compressedSize: file.position - entry.dataOffset, size: entry.size, headerOffset: entry.headerOffset)
    try file.overwrite(
      localHeader(
        name: result.name, method: result.method, checksum: result.checksum, compressedSize: result.compressedSize,
        size: result.size),
      at: result.headerOffset)
    finished.append(result)
    current = nil
  }

  private func localHeader(
    name: [UInt8], method: UInt16, checksum: UInt32, compressedSize: Int, size: Int
  ) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: 0x0403_4B50 as UInt32)
    bytes.append(littleEndian: 45 as UInt16)
    bytes.append(littleEndian: 0x800 as UInt16)
    bytes.append(littleEndian: method)
    bytes.append(littleEndian: 0 as UInt16)
    bytes.append(littleEndian: Self.date)
    bytes.append(littleEndian: checksum)
    bytes.append(littleEndian: UInt32.max)
    bytes.append(littleEndian: UInt32.max)
    bytes.append(littleEndian: UInt16(name.count))
    bytes.append(littleEndian: 20 as UInt16)
    bytes.append(contentsOf: name)
    bytes.append(littleEndian: 1 as UInt16)
    bytes.append(littleEndian: 16 as UInt16)
    bytes.append(littleEndian: UInt64(size))
    bytes.append(littleEndian: UInt64(compressedSize))
    return bytes
  }

  private func writeDirectory() throws {
    let offset = file.position
    for entry in finished {
      var extra: [UInt8] = []
      func narrow(_ value: Int) -> UInt32 {
        if let small = UInt32(exactly: value), small != .max { return small }
        extra.append(littleEndian: UInt64(value))
        return .max
      }
      let size = narrow(entry.size)
      let compressedSize = narrow(entry.compressedSize)
      let headerOffset = narrow(entry.headerOffset)
      var bytes: [UInt8] = []
      bytes.append(littleEndian: 0x0201_4B50 as UInt32)
      bytes.append(littleEndian: 0x032D as UInt16)
      bytes.append(littleEndian: 45 as UInt16)
      bytes.append(littleEndian: 0x800 as UInt16)
      bytes.append(littleEndian: entry.method)
      bytes.append(littleEndian: 0 as UInt16)
      bytes.append(littleEndian: Self.date)
      bytes.append(littleEndian: entry.checksum)
      bytes.append(littleEndian: compressedSize)
      bytes.append(littleEndian: size)
      bytes.append(littleEndian: UInt16(entry.name.count))
      bytes.append(littleEndian: UInt16(extra.isEmpty ? 0 : extra.count + 4))
      bytes.append(contentsOf: [UInt8](repeating: 0, count: 6))
      // Permissions -rw-r--r--, as Unix tools expect them in the upper half.
      bytes.append(littleEndian: UInt32(0o100644) << 16)
      bytes.append(littleEndian: headerOffset)
      bytes.append(contentsOf: entry.name)
      if !extra.isEmpty {
        bytes.append(littleEndian: 1 as UInt16)
        bytes.append(littleEndian: UInt16(extra.count))
        bytes.append(contentsOf: extra)
      }
      try file.write(bytes)
    }
    let end = file.position
    var bytes: [UInt8] = []
    if finished.count >= 0xFFFF || end >= 0xFFFF_FFFF {
      bytes.append(littleEndian: 0x0606_4B50 as UInt32)
      bytes.append(littleEndian: 44 as UInt64)
      bytes.append(littleEndian: 45 as UInt16)
      bytes.append(littleEndian: 45 as UInt16)
      bytes.append(littleEndian: 0 as UInt32)
      bytes.append(littleEndian: 0 as UInt32)
      bytes.append(littleEndian: UInt64(finished.count))
      bytes.append(littleEndian: UInt64(finished.count))
      bytes.append(littleEndian: UInt64(end - offset))
      bytes.append(littleEndian: UInt64(offset))
      bytes.append(littleEndian: 0x0706_4B50 as UInt32)
      bytes.append(littleEndian: 0 as UInt32)
      bytes.append(littleEndian: UInt64(end))
      bytes.append(littleEndian: 1 as UInt32)
    }
    bytes.append(littleEndian: 0x0605_4B50 as UInt32)
    bytes.append(littleEndian: 0 as UInt32)
    bytes.append(littleEndian: UInt16(min(finished.count, 0xFFFF)))
    bytes.append(littleEndian: UInt16(min(finished.count, 0xFFFF)))
    bytes.append(littleEndian: UInt32(min(end - offset, 0xFFFF_FFFF)))
    bytes.append(littleEndian: UInt32(min(offset, 0xFFFF_FFFF)))
    bytes.append(littleEndian: 0 as UInt16)
    try file.write(bytes)
  }
}
