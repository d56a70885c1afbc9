#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

/// Bytes that can be read at any position: a file or memory.
package protocol ByteSource: Sendable {
  /// The name that errors carry.
  var name: String { get }
  var count: Int { get }
  /// Fills `buffer` with the bytes from `offset` on; throws where there are fewer.
  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws
}

extension ByteSource {
  /// Throws unless the range lies inside.
  package func checkRange(_ offset: Int, _ length: Int) throws {
    guard offset >= 0, length >= 0, offset <= count, length <= count - offset else {
      throw ArchiveError(
        .damaged, name, expected: "\(length) bytes at position \(offset)", found: "a length of \(count) bytes")
    }
  }

  package func bytes(at offset: Int, count length: Int) throws -> [UInt8] {
    try checkRange(offset, length)
    return try [UInt8](unsafeUninitializedCapacity: length) { buffer, initialized in
      try read(
        at: offset, into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<length]))
      initialized = length
    }
  }
}

/// Bytes in memory.
package struct MemoryBytes: ByteSource {
  package let name: String
  private let bytes: [UInt8]

  package init(_ bytes: [UInt8], name: String) {
    self.bytes = bytes
    self.name = name
  }

  package var count: Int { bytes.count }

  package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    try checkRange(offset, buffer.count)
    bytes.withUnsafeBytes { raw in
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: raw[offset..<offset + buffer.count]))
    }
  }
}

/// A file, of which only the parts asked for are read. Safe against files that shrink while they are open.
package final class FileBytes: ByteSource {
  package let name: String
  package let count: Int
  private let descriptor: Int32

  package init(_ path: String) throws {
    name = path
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw ArchiveError(.cannotOpen, path, expected: "a readable file", found: String(cString: strerror(errno)))
    }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw ArchiveError(.cannotOpen, path, expected: "a regular file", found: "something else")
    }
    count = Int(status.st_size)
  }

  deinit { close(descriptor) }

  package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    try checkRange(offset, buffer.count)
    var done = 0
    while done < buffer.count {
      guard let base = buffer.baseAddress else { return }
      let part = min(buffer.count - done, 1 << 30)
      let got = pread(descriptor, base + done, part, off_t(offset + done))
      if got < 0, errno == EINTR { continue }
      guard got > 0 else {
        throw ArchiveError(
          .damaged, name, expected: "\(buffer.count) bytes at position \(offset)",
          found: got == 0 ? "the end of the file" : String(cString: strerror(errno)))
      }
      done += got
    }
  }
}

/// Reads little-endian numbers from bytes one after the other, throwing at their end.
struct ByteCursor {
  let bytes: [UInt8]
  let name: String
  var position = 0

  init(_ bytes: [UInt8], name: String) {
    self.bytes = bytes
    self.name = name
  }

  var remaining: Int { bytes.count - position }

  mutating func skip(_ length: Int) throws {
    guard length >= 0, length <= remaining else { throw end(length) }
    position += length
  }

  mutating func take(_ length: Int) throws -> ArraySlice<UInt8> {
    guard length >= 0, length <= remaining else { throw end(length) }
    defer { position += length }
    return bytes[position..<position + length]
  }

  mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws -> Value {
    let size = MemoryLayout<Value>.size
    guard size <= remaining else { throw end(size) }
    defer { position += size }
    return bytes.withUnsafeBytes { Value(littleEndian: $0.loadUnaligned(fromByteOffset: position, as: Value.self)) }
  }

  private func end(_ length: Int) -> ArchiveError {
    ArchiveError(.damaged, name, expected: "\(length) more bytes at \(position)", found: "\(remaining)")
  }
}

extension [UInt8] {
  mutating func append<Value: FixedWidthInteger>(littleEndian value: Value) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }
}
