import CHDF5

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

/// An open HDF5 file.
///
/// Files are opened for reading, or created whole: `create(atomicallyAt:_:)` writes a temporary file beside the target
/// and renames it when everything is on disk, so that a crash leaves the previous file as it was. Instances may be used
/// from several threads; their calls queue behind one lock, because the C library is not thread-safe.
public final class HDF5File: @unchecked Sendable {
  /// The path the file was opened with (for a file being created: the target's path).
  public let path: String
  let isWritable: Bool
  /// Guarded by the library's lock; negative once closed.
  private var handle: hid_t
  /// Bytes on disk when the file was opened; what its headers declare is held against it.
  let size: Int

  private init(path: String, handle: hid_t, isWritable: Bool, size: Int) {
    self.path = path
    self.handle = handle
    self.isWritable = isWritable
    self.size = size
  }

  deinit {
    HDF5Library.locked { if handle >= 0 { _ = H5Fclose(handle) } }
  }

  /// Opens a file for reading.
  public static func open(_ path: String) throws -> HDF5File {
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw HDF5Error(
        .cannotOpen, file: path, object: "/", expected: "a readable HDF5 file",
        found: String(cString: strerror(errno)))
    }
    return try HDF5Library.locked {
      let handle = chdf5_open_file(path)
      guard handle >= 0 else {
        throw HDF5Error(
          access(path, R_OK) == 0 ? .damaged : .cannotOpen, file: path, object: "/",
          expected: "a readable HDF5 file", found: HDF5Library.lastMessage())
      }
      return HDF5File(path: path, handle: handle, isWritable: false, size: Int(status.st_size))
    }
  }

  /// Creates a file, all or nothing: `body` fills a temporary file in the same folder, which is then flushed, synced and
  /// renamed to `path`. If `body` or any step throws, the temporary file is removed and `path` stays as it was.
  /// The file must not be used after `body` returned.
  public static func create(atomicallyAt path: String, _ body: (HDF5File) throws -> Void) throws {
    let slash = path.lastIndex(of: "/")
    let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let name = slash.map { String(path[path.index(after: $0)...]) } ?? path
    let temporary = "\(folder)/.\(name).\(getpid()).\(UInt32.random(in: 0...UInt32.max)).tmp"
    func failure(_ step: String, _ reason: String) -> HDF5Error {
      HDF5Error(.cannotWrite, file: path, object: "/", expected: step, found: reason)
    }

    let file = try HDF5Library.locked {
      let handle = chdf5_create_file(temporary)
      guard handle >= 0 else {
        let message = HDF5Library.lastMessage()
        throw failure("to create a file in \(folder)", message)
      }
      return HDF5File(path: path, handle: handle, isWritable: true, size: 0)
    }
    var isRenamed = false
    defer { if !isRenamed { unlink(temporary) } }
    do {
      try body(file)
    } catch {
      try? file.close()
      throw error
    }
    try file.close()
    try synchronize(temporary) { failure("to bring the data to the disk", $0) }
    guard rename(temporary, path) == 0 else {
      throw failure("to rename the finished file", String(cString: strerror(errno)))
    }
    isRenamed = true
    try synchronize(folder) { failure("to bring the new name to the disk", $0) }
  }

  /// Removes temporary files of ``create(atomicallyAt:_:)`` whose process is gone.
  public static func removeAbandonedFiles(inFolder folder: String) {
    guard let directory = opendir(folder) else { return }
    defer { closedir(directory) }
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      let parts = name.split(separator: ".")
      guard name.hasPrefix("."), parts.count >= 4, parts.last == "tmp", UInt32(parts[parts.count - 2]) != nil,
        let process = Int32(parts[parts.count - 3]), process > 0, kill(process, 0) != 0, errno == ESRCH
      else { continue }
      unlink(folder + "/" + name)
    }
  }

  /// Closes the file, and with it every dataset that is still open. Reports what could not be written.
  public func close() throws {
    try HDF5Library.locked {
      guard handle >= 0 else { return }
      let flushed = isWritable ? H5Fflush(handle, H5F_SCOPE_GLOBAL) : 0
      let flushMessage = flushed < 0 ? HDF5Library.lastMessage() : ""
      let closed = H5Fclose(handle)
      handle = -1
      guard flushed >= 0, closed >= 0 else {
        throw HDF5Error(
          .cannotWrite, file: path, object: "/", expected: "to write and close the file",
          found: flushed < 0 ? flushMessage : HDF5Library.lastMessage())
      }
    }
  }

  /// The group that holds all others.
  public var root: HDF5Group { HDF5Group(file: self, path: "/") }

  /// Must be called under the library's lock.
  var isOpen: Bool { handle >= 0 }

  /// Runs `body` with the open file under the library's lock.
  func locked<Result>(_ body: (hid_t) throws -> Result) throws -> Result {
    try HDF5Library.locked {
      guard handle >= 0 else {
        throw HDF5Error(.closed, file: path, object: "/", expected: "an open file", found: "that it was closed before")
      }
      return try body(handle)
    }
  }

  func error(_ kind: HDF5Error.Kind, _ object: String, expected: String, found: String) -> HDF5Error {
    HDF5Error(kind, file: path, object: object, expected: expected, found: found)
  }

  /// Waits until a file or folder is on the disk.
  private static func synchronize(_ path: String, failure: (String) -> HDF5Error) throws {
    let descriptor = Self.openForReading(path)
    guard descriptor >= 0 else { throw failure(String(cString: strerror(errno))) }
    defer { _ = closeDescriptor(descriptor) }
    // Some file systems cannot sync folders and say so with EINVAL; there is nothing more to do then.
    if fsync(descriptor) != 0 && errno != EINVAL { throw failure(String(cString: strerror(errno))) }
  }

  private static func openForReading(_ path: String) -> Int32 {
    #if canImport(Glibc)
      Glibc.open(path, O_RDONLY)
    #elseif canImport(Darwin)
      Darwin.open(path, O_RDONLY)
    #elseif canImport(Musl)
      Musl.open(path, O_RDONLY)
    #endif
  }

  private static func closeDescriptor(_ descriptor: Int32) -> Int32 {
    #if canImport(Glibc)
      Glibc.close(descriptor)
    #elseif canImport(Darwin)
      Darwin.close(descriptor)
    #elseif canImport(Musl)
      Musl.close(descriptor)
    #endif
  }
}
