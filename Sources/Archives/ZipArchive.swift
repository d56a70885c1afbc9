/// A zip file opened for reading: stored and deflated entries, zip64, data descriptors.
///
/// Only the directory is read on opening. Every length comes from untrusted bytes and is checked against the file
/// before memory is allocated; contents are checked against their CRC-32.
public struct ZipArchive: Sendable {
  /// One file in the archive.
  public struct Entry: Sendable, Equatable {
    public let name: String
    /// Bytes in the archive.
    public let compressedSize: Int
    /// Bytes when extracted, as the directory declares.
    public let size: Int
    public let isCompressed: Bool
    let checksum: UInt32
    let headerOffset: Int
  }

  /// In the order of the directory.
  public let entries: [Entry]
  package let source: any ByteSource
  private let indices: [String: Int]

  /// A deflate stream expands at most 1032-fold.
  static let largestExpansion = 1032

  public init(path: String) throws {
    try self.init(FileBytes(path))
  }

  public init(bytes: [UInt8], name: String) throws {
    try self.init(MemoryBytes(bytes, name: name))
  }

  package init(_ source: any ByteSource) throws {
    self.source = source
    entries = try Self.readDirectory(source)
    // Of entries with the same name the last one counts, as in Python.
    indices = Dictionary(entries.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { $1 })
  }

  /// The entry with this name.
  public func entry(_ name: String) throws -> Entry {
    guard let index = indices[name] else {
      throw ArchiveError(.missing, source.name, expected: "an entry '\(name)'", found: "no entry of this name")
    }
    return entries[index]
  }

  public func contains(_ name: String) -> Bool { indices[name] != nil }

  /// The contents of an entry.
  ///
  /// - Parameter maximum: a larger entry is an error, and is never allocated.
  public func read(_ entry: Entry, maximum: Int = .max) throws -> [UInt8] {
    try checkSize(entry, maximum: maximum)
    return try [UInt8](unsafeUninitializedCapacity: entry.size) { buffer, initialized in
      try read(entry, into: UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: entry.size))
      initialized = entry.size
    }
  }

  /// Extracts an entry into the caller's memory, which must have its size, and checks the CRC-32.
  package func read(_ entry: Entry, into buffer: UnsafeMutableRawBufferPointer) throws {
    guard buffer.count == entry.size else {
      throw ArchiveError(
        .wrongType, label(entry), expected: "an entry of \(buffer.count) bytes", found: "\(entry.size) bytes")
    }
    if entry.isCompressed {
      let reader = try ZipEntryReader(archive: self, entry: entry)
      guard try reader.read(into: buffer) == entry.size else { throw shortened(entry) }
      try reader.finish()
    } else {
      try source.read(at: dataOffset(of: entry), into: buffer)
      try checkChecksum(entry, checksumCRC32(UnsafeRawBufferPointer(buffer)))
    }
  }

  /// Opens an entry for reading from front to back in bounded memory.
  public func reader(for entry: Entry) throws -> ZipEntryReader {
    try ZipEntryReader(archive: self, entry: entry)
  }

  /// Where the bytes of an entry begin in the file.
  package func dataOffset(of entry: Entry) throws -> Int {
    var header = ByteCursor(try source.bytes(at: entry.headerOffset, count: 30), name: label(entry))
    guard try header.integer(UInt32.self) == 0x0403_4B50 else {
      throw ArchiveError(.damaged, label(entry), expected: "a local header", found: "other bytes")
    }
    try header.skip(22)
    let nameLength = Int(try header.integer(UInt16.self))
    let extraLength = Int(try header.integer(UInt16.self))
    let offset = entry.headerOffset + 30 + nameLength + extraLength
    try source.checkRange(offset, entry.compressedSize)
    return offset
  }

  func label(_ entry: Entry) -> String { source.name + ":" + entry.name }

  func checkChecksum(_ entry: Entry, _ found: UInt32) throws {
    guard found == entry.checksum else {
      throw ArchiveError(
        .damaged, label(entry), expected: "the CRC-32 " + String(entry.checksum, radix: 16),
        found: String(found, radix: 16))
    }
  }

  func shortened(_ entry: Entry) -> ArchiveError {
    ArchiveError(.damaged, label(entry), expected: "\(entry.size) bytes", found: "the end of the entry")
  }

  func checkSize(_ entry: Entry, maximum: Int) throws {
    guard entry.size <= maximum else {
      throw ArchiveError(.tooLarge, label(entry), expected: "at most \(maximum) bytes", found: "\(entry.size)")
    }
  }
}

extension ZipArchive {
  private struct DirectoryPlace {
    var offset: Int
    var size: Int
    var count: Int
  }

  private static func readDirectory(_ source: any ByteSource) throws -> [Entry] {
    let place = try findDirectory(source)
    try source.checkRange(place.offset, place.size)
    // An entry takes at least 46 bytes, so this bounds the count.
    guard place.count <= place.size / 46 else {
      throw ArchiveError(
        .damaged, source.name, expected: "at most \(place.size / 46) entries in a directory of \(place.size) bytes",
        found: "\(place.count)")
    }
    var cursor = ByteCursor(try source.bytes(at: place.offset, count: place.size), name: source.name)
    var entries: [Entry] = []
    entries.reserveCapacity(place.count)
    for _ in 0..<place.count { entries.append(try readEntry(&cursor, source)) }
    return entries
  }

  /// Finds the end record, which a comment of up to 65535 bytes may follow, and its zip64 form.
  private static func findDirectory(_ source: any ByteSource) throws -> DirectoryPlace {
    func notZip(_ found: String) -> ArchiveError {
      ArchiveError(.damaged, source.name, expected: "a zip file", found: found)
    }
    guard source.count >= 22 else { throw notZip("\(source.count) bytes") }
    let tailLength = min(source.count, 22 + 65535)
    let tailOffset = source.count - tailLength
    let tail = try source.bytes(at: tailOffset, count: tailLength)
    var end = tailLength - 22
    while end >= 0 {
      if tail[end] == 0x50, tail[end + 1] == 0x4B, tail[end + 2] == 5, tail[end + 3] == 6,
        Int(tail[end + 20]) | Int(tail[end + 21]) << 8 <= tailLength - end - 22
      {
        break
      }
      end -= 1
    }
    guard end >= 0 else { throw notZip("no directory at the end") }
    var cursor = ByteCursor(tail, name: source.name)
    cursor.position = end + 4
    let disk = try cursor.integer(UInt16.self)
    let directoryDisk = try cursor.integer(UInt16.self)
    try cursor.skip(2)
    let count = try cursor.integer(UInt16.self)
    let size = try cursor.integer(UInt32.self)
    let offset = try cursor.integer(UInt32.self)
    if count == .max || size == .max || offset == .max || disk == .max || directoryDisk == .max {
      let locatorOffset = tailOffset + end - 20
      if locatorOffset >= 0 {
        var locator = ByteCursor(try source.bytes(at: locatorOffset, count: 20), name: source.name)
        if try locator.integer(UInt32.self) == 0x0706_4B50 {
          try locator.skip(4)
          let recordOffset = try locator.integer(UInt64.self)
          var record = ByteCursor(
            try source.bytes(at: Int(clamping: recordOffset), count: 56), name: source.name)
          guard try record.integer(UInt32.self) == 0x0606_4B50 else { throw notZip("a broken zip64 record") }
          try record.skip(28)
          let wideCount = try record.integer(UInt64.self)
          let wideSize = try record.integer(UInt64.self)
          let wideOffset = try record.integer(UInt64.self)
          return DirectoryPlace(
            offset: Int(clamping: wideOffset), size: Int(clamping: wideSize), count: Int(clamping: wideCount))
        }
      }
    }
    guard disk == directoryDisk else { throw notZip("an archive in several parts") }
    return DirectoryPlace(offset: Int(offset), size: Int(size), count: Int(count))
  }

  private static func readEntry(_ cursor: inout ByteCursor, _ source: any ByteSource) throws -> Entry {
    guard try cursor.integer(UInt32.self) == 0x0201_4B50 else {
      throw ArchiveError(.damaged, source.name, expected: "an entry of the directory", found: "other bytes")
    }
    try cursor.skip(4)
    let flags = try cursor.integer(UInt16.self)
    let method = try cursor.integer(UInt16.self)
    try cursor.skip(4)
    let checksum = try cursor.integer(UInt32.self)
    var compressedSize = Int(try cursor.integer(UInt32.self))
    var size = Int(try cursor.integer(UInt32.self))
    let nameLength = Int(try cursor.integer(UInt16.self))
    let extraLength = Int(try cursor.integer(UInt16.self))
    let commentLength = Int(try cursor.integer(UInt16.self))
    try cursor.skip(8)
    var headerOffset = Int(try cursor.integer(UInt32.self))
    let name = String(decoding: try cursor.take(nameLength), as: UTF8.self)
    var extra = ByteCursor(Array(try cursor.take(extraLength)), name: source.name)
    try cursor.skip(commentLength)
    while extra.remaining >= 4 {
      let identifier = try extra.integer(UInt16.self)
      let length = Int(try extra.integer(UInt16.self))
      guard length <= extra.remaining else { break }
      var field = ByteCursor(Array(try extra.take(length)), name: source.name)
      guard identifier == 1 else { continue }
      if size == 0xFFFF_FFFF { size = Int(clamping: try field.integer(UInt64.self)) }
      if compressedSize == 0xFFFF_FFFF { compressedSize = Int(clamping: try field.integer(UInt64.self)) }
      if headerOffset == 0xFFFF_FFFF { headerOffset = Int(clamping: try field.integer(UInt64.self)) }
    }
    let label = source.name + ":" + name
    guard flags & 1 == 0 else {
      throw ArchiveError(.refused, label, expected: "an entry without encryption", found: "an encrypted one")
    }
    guard method == 0 || method == 8 else {
      throw ArchiveError(.refused, label, expected: "a stored or deflated entry", found: "method \(method)")
    }
    try source.checkRange(headerOffset, 30)
    try source.checkRange(headerOffset, compressedSize)
    let (limit, overflow) = compressedSize.multipliedReportingOverflow(by: largestExpansion)
    guard method == 0 ? size == compressedSize : overflow || size <= limit + 64 else {
      throw ArchiveError(
        .damaged, label, expected: "a size that \(compressedSize) stored bytes can have", found: "\(size)")
    }
    return Entry(
      name: name, compressedSize: compressedSize, size: size, isCompressed: method == 8, checksum: checksum,
      headerOffset: headerOffset)
  }
}

/// Reads one entry of a zip file from front to back.
public final class ZipEntryReader {
  private let archive: ZipArchive
  private let entry: ZipArchive.Entry
  private let inflater: Inflater?
  private var position: Int
  private let end: Int
  private var input: [UInt8] = []
  private var inputPosition = 0
  private var checksum: UInt32 = 0
  private var isFinished = false
  /// Bytes read so far.
  public private(set) var count = 0

  init(archive: ZipArchive, entry: ZipArchive.Entry) throws {
    self.archive = archive
    self.entry = entry
    position = try archive.dataOffset(of: entry)
    end = position + entry.compressedSize
    inflater = entry.isCompressed ? try Inflater(.raw, name: archive.label(entry)) : nil
  }

  /// Fills `buffer` as far as there are bytes, and returns how many there were. At the end the CRC-32 is checked.
  public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    var filled = 0
    let wanted = min(buffer.count, entry.size - count)
    while filled < wanted {
      if let inflater {
        if inputPosition == input.count, position < end {
          input = try archive.source.bytes(at: position, count: min(1 << 16, end - position))
          position += input.count
          inputPosition = 0
        }
        let isAtEnd = inputPosition == input.count && position == end
        let step = try input.withUnsafeBytes { raw in
          try inflater.process(
            UnsafeRawBufferPointer(rebasing: raw[inputPosition...]),
            into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<wanted]))
        }
        inputPosition += step.consumed
        filled += step.produced
        if filled < wanted, step.isFinished || (isAtEnd && step.consumed == 0 && step.produced == 0) {
          throw archive.shortened(entry)
        }
      } else {
        try archive.source.read(
          at: position, into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<wanted]))
        position += wanted - filled
        filled = wanted
      }
    }
    checksum = checksumCRC32(UnsafeRawBufferPointer(rebasing: buffer[..<filled]), continuing: checksum)
    count += filled
    if count == entry.size, !isFinished {
      isFinished = true
      try archive.checkChecksum(entry, checksum)
    }
    return filled
  }

  /// The next `count` bytes; throws where the entry has fewer.
  package func bytes(_ count: Int) throws -> [UInt8] {
    guard count <= entry.size - self.count else { throw archive.shortened(entry) }
    return try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      initialized = try read(into: UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count))
    }
  }

  /// Throws unless everything was read and the CRC-32 agreed.
  package func finish() throws {
    if entry.size == 0 { try archive.checkChecksum(entry, 0) }
    guard count == entry.size else { throw archive.shortened(entry) }
  }

  /// Bytes that were not read yet.
  package var remaining: Int { entry.size - count }
}
