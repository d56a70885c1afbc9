import Foundation

/// Writes files that appear whole or not at all.
enum AtomicFile {
  /// Writes the parts one after the other.
  static func write(to file: URL, parts: [UnsafeRawBufferPointer], compressing: Bool) throws {
    try write(to: file) { descriptor in
      if compressing {
        try Deflating.gzip.pack(parts, file: file) { try writeAll($0, to: descriptor, file) }
      } else {
        for part in parts { try writeAll(part, to: descriptor, file) }
      }
    }
  }

  /// Lets `body` write to a temporary file beside `file`, syncs it, and renames it. The descriptor can be read, too.
  static func write(to file: URL, _ body: (_ descriptor: Int32) throws -> Void) throws {
    let temporary = file.deletingLastPathComponent().appendingPathComponent(
      ".\(file.lastPathComponent).\(UUID().uuidString).tmp")
    let descriptor = open(temporary.path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else {
      throw ImageError.cannotWrite(file: file.path, reason: String(cString: strerror(errno)))
    }
    do {
      defer { close(descriptor) }
      try body(descriptor)
      guard fsync(descriptor) == 0 else {
        throw ImageError.cannotWrite(file: file.path, reason: String(cString: strerror(errno)))
      }
    } catch {
      unlink(temporary.path)
      throw error
    }
    guard rename(temporary.path, file.path) == 0 else {
      let reason = String(cString: strerror(errno))
      unlink(temporary.path)
      throw ImageError.cannotWrite(file: file.path, reason: reason)
    }
  }

  private static func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, _ file: URL) throws {
    var rest = bytes
    while !rest.isEmpty {
      let count = Foundation.write(descriptor, rest.baseAddress, rest.count)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else {
        throw ImageError.cannotWrite(file: file.path, reason: String(cString: strerror(errno)))
      }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }
}
