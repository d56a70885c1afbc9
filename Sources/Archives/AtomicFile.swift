#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

/// A file that appears under its name only when it is whole: written beside it, synced, renamed.
package final class AtomicFile {
  package let path: String
  private let temporary: String
  private let folder: String
  private var descriptor: Int32
  private var buffer: [UInt8] = []
  /// The position after the last byte written.
  package private(set) var position = 0

  private static let bufferSize = 1 << 18

  /// Calls `body` with a new file; if it throws, nothing remains and a file of that name stays as it was.
  package static func write<Result>(to path: String, _ body: (AtomicFile) throws -> Result) throws -> Result {
    let file = try AtomicFile(path)
    do {
      let result = try body(file)
      try file.commit()
      return result
    } catch {
      file.discard()
      throw error
    }
  }

  package init(_ path: String) throws {
    self.path = path
    let slash = path.lastIndex(of: "/")
    folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let name = slash.map { String(path[path.index(after: $0)...]) } ?? path
    temporary = "\(folder)/.\(name).\(getpid()).\(UInt32.random(in: 0...UInt32.max)).tmp"
    descriptor = open(temporary, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else {
      throw ArchiveError(
        .cannotWrite, path, expected: "to create a file in \(folder)", found: String(cString: strerror(errno)))
    }
    buffer.reserveCapacity(Self.bufferSize)
  }

  deinit { discard() }

  package func write(_ bytes: UnsafeRawBufferPointer) throws {
    if buffer.count + bytes.count > Self.bufferSize { try flush() }
    if bytes.count >= Self.bufferSize {
      try writeAll(bytes, at: position)
    } else {
      buffer.append(contentsOf: bytes)
    }
    position += bytes.count
  }

  package func write(_ bytes: [UInt8]) throws {
    try bytes.withUnsafeBytes { try write($0) }
  }

  /// Replaces bytes that were written before.
  package func overwrite(_ bytes: [UInt8], at offset: Int) throws {
    try flush()
    try bytes.withUnsafeBytes { try writeAll($0, at: offset) }
  }

  /// Brings everything to the disk and gives the file its name.
  package func commit() throws {
    try flush()
    guard fsync(descriptor) == 0 else { throw failure("to bring the data to the disk") }
    let closed = close(descriptor)
    descriptor = -1
    guard closed == 0, rename(temporary, path) == 0 else {
      let error = failure("to rename the finished file")
      unlink(temporary)
      throw error
    }
    let folderDescriptor = open(folder, O_RDONLY | O_CLOEXEC)
    if folderDescriptor >= 0 {
      // Some file systems cannot sync folders; there is nothing more to do then.
      _ = fsync(folderDescriptor)
      close(folderDescriptor)
    }
  }

  /// Removes what was written, unless it was committed.
  package func discard() {
    guard descriptor >= 0 else { return }
    close(descriptor)
    descriptor = -1
    unlink(temporary)
  }

  private func flush() throws {
    guard !buffer.isEmpty else { return }
    try buffer.withUnsafeBytes { try writeAll($0, at: position - buffer.count) }
    buffer.removeAll(keepingCapacity: true)
  }

  private func writeAll(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
    guard let base = bytes.baseAddress else { return }
    var done = 0
    while done < bytes.count {
      let put = pwrite(descriptor, base + done, min(bytes.count - done, 1 << 30), off_t(offset + done))
      if put < 0, errno == EINTR { continue }
      guard put > 0 else { throw failure("to write \(bytes.count) bytes") }
      done += put
    }
  }

  private func failure(_ expected: String) -> ArchiveError {
    ArchiveError(.cannotWrite, path, expected: expected, found: String(cString: strerror(errno)))
  }
}
