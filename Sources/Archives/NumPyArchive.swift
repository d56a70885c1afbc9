/// Reads an `.npz` file: a zip of `.npy` arrays, as `np.savez` and `np.savez_compressed` write it.
public struct NumPyArchive: Sendable {
  package let archive: ZipArchive

  public init(path: String) throws {
    archive = try ZipArchive(path: path)
  }

  public init(bytes: [UInt8], name: String) throws {
    archive = try ZipArchive(bytes: bytes, name: name)
  }

  /// Names of the arrays, in the order of the file.
  public var names: [String] {
    archive.entries.compactMap { $0.name.hasSuffix(".npy") ? String($0.name.dropLast(4)) : nil }
  }

  /// Reads a whole array.
  public func array(_ name: String) throws -> NumPyArray {
    let entry = try archive.entry(name + ".npy")
    return try NumPyArray(npy: archive.read(entry), name: archive.label(entry))
  }

  /// Opens an array to be read piece by piece.
  public func reader(_ name: String) throws -> NumPyReader {
    let entry = try archive.entry(name + ".npy")
    return try NumPyReader(archive.reader(for: entry), name: archive.label(entry))
  }
}

/// Reads an array in an `.npz` file from front to back, in bounded memory.
public final class NumPyReader {
  public let shape: [Int]
  public let kind: NumPyElementKind
  /// Elements that were not read yet.
  public private(set) var remaining: Int
  private let reader: ZipEntryReader
  private let name: String

  init(_ reader: ZipEntryReader, name: String) throws {
    self.reader = reader
    self.name = name
    let prefix = try reader.bytes(min(12, reader.remaining))
    let length = try NumPyHeader.fullLength(prefix, name: name)
    let header: NumPyHeader
    if length >= prefix.count {
      header = try NumPyHeader(parsing: prefix + reader.bytes(length - prefix.count), name: name)
    } else {
      throw ArchiveError(.damaged, name, expected: "an .npy header", found: "\(length) bytes of it")
    }
    guard !header.isBigEndian, !header.isFortranOrder || header.shape.count < 2 else {
      throw ArchiveError(
        .refused, name, expected: "a row-major, little-endian array to be read piece by piece",
        found: "another order (read it whole)")
    }
    guard header.byteCount <= reader.remaining else {
      throw ArchiveError(
        .damaged, name, expected: "\(header.byteCount) bytes for the shape \(header.shape)",
        found: "\(reader.remaining)")
    }
    shape = header.shape
    kind = header.kind
    remaining = header.byteCount / header.kind.size
  }

  /// The next `count` elements (fewer at the end), row-major.
  public func read<Element: NumPyElement>(_ count: Int, as type: Element.Type = Element.self) throws -> [Element] {
    let part = min(count, remaining)
    let bytes = try reader.bytes(part * kind.size)
    let elements: [Element] = try bytes.withUnsafeBytes { try NumPyArray.convert($0, kind: kind) }
    remaining -= part
    return elements
  }
}

/// Writes an `.npz` file, array by array and each array piece by piece.
public final class NumPyArchiveWriter {
  private let zip: ZipWriter
  private let method: ZipWriter.Method
  private let path: String
  private let runTasks: ZipWriter.TaskRunner?
  private var expectedBytes = 0
  private var currentKind: NumPyElementKind?

  private init(_ zip: ZipWriter, method: ZipWriter.Method, path: String, runTasks: ZipWriter.TaskRunner?) {
    self.zip = zip
    self.method = method
    self.path = path
    self.runTasks = runTasks
  }

  /// Creates a file; if `body` throws, nothing remains and a file of that name stays as it was.
  ///
  /// - Parameters:
  ///   - method: deflated as `np.savez_compressed` by default.
  ///   - runTasks: compresses what is appended on several threads; arrays should then come in large pieces.
  public static func create<Result>(
    atomicallyAt path: String, method: ZipWriter.Method = .deflated(level: 6),
    compressingWith runTasks: ZipWriter.TaskRunner? = nil, _ body: (NumPyArchiveWriter) throws -> Result
  ) throws -> Result {
    try ZipWriter.create(atomicallyAt: path) { zip in
      let writer = NumPyArchiveWriter(zip, method: method, path: path, runTasks: runTasks)
      let result = try body(writer)
      try writer.end()
      return result
    }
  }

  /// Adds a whole array.
  public func add(_ name: String, _ array: NumPyArray) throws {
    try begin(name, shape: array.shape, kind: array.kind)
    try zip.write(array.bytes)
    expectedBytes -= array.bytes.count
    try end()
  }

  /// Starts an array whose elements follow by `append`, in row-major order.
  public func begin(_ name: String, shape: [Int], kind: NumPyElementKind) throws {
    try end()
    let (bytes, overflow) = (NumPyHeader.elementCount(shape) ?? .max).multipliedReportingOverflow(by: kind.size)
    guard !overflow else {
      throw ArchiveError(.cannotWrite, path, expected: "a shape of sensible lengths", found: "\(shape)")
    }
    try zip.beginEntry(name + ".npy", method: method)
    try zip.write(NumPyHeader.bytes(shape: shape, kind: kind))
    expectedBytes = bytes
    currentKind = kind
  }

  /// Appends elements to the array that was begun. Floats may be appended to an array of half precision, too.
  public func append<Element: NumPyElement>(_ elements: UnsafeBufferPointer<Element>) throws {
    guard let kind = currentKind else {
      throw ArchiveError(.cannotWrite, path, expected: "an array that was begun", found: "none")
    }
    if kind == Element.numPyKind {
      try appendBytes(UnsafeRawBufferPointer(elements))
    } else if kind == .float16, let floats = elements as? UnsafeBufferPointer<Float> {
      let halves = floats.map { HalfPrecision.binary16($0).littleEndian }
      try halves.withUnsafeBytes { try appendBytes($0) }
    } else {
      throw ArchiveError(
        .cannotWrite, path, expected: "elements of type \(kind.rawValue)", found: Element.numPyKind.rawValue)
    }
  }

  /// Appends elements to the array that was begun.
  public func append<Element: NumPyElement>(_ elements: [Element]) throws {
    try elements.withUnsafeBufferPointer { try append($0) }
  }

  private func appendBytes(_ bytes: UnsafeRawBufferPointer) throws {
    guard bytes.count <= expectedBytes else {
      throw ArchiveError(
        .cannotWrite, path, expected: "at most \(expectedBytes) more bytes for this shape", found: "\(bytes.count)")
    }
    if let runTasks, bytes.count > 1 << 20 {
      try zip.write(bytes, using: runTasks)
    } else {
      try zip.write(bytes)
    }
    expectedBytes -= bytes.count
  }

  /// Ends the array that was begun, which must be complete.
  public func end() throws {
    guard expectedBytes == 0 else {
      throw ArchiveError(.cannotWrite, path, expected: "a complete array", found: "\(expectedBytes) bytes missing")
    }
    try zip.endEntry()
    currentKind = nil
  }
}
