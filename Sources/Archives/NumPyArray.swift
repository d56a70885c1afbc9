/// An array as NumPy stores it: shape, element type, and elements in row-major order.
///
/// Whatever order and endianness the file has, `bytes` are row-major and little endian here.
public struct NumPyArray: Sendable, Equatable {
  public let shape: [Int]
  public let kind: NumPyElementKind
  package let bytes: [UInt8]

  /// - Precondition: `bytes` holds as many elements as `shape` says; readers check before they call.
  package init(shape: [Int], kind: NumPyElementKind, bytes: [UInt8]) {
    self.shape = shape
    self.kind = kind
    self.bytes = bytes
  }

  /// An array of numbers, row-major.
  public init<Element: NumPyElement>(shape: [Int], _ elements: [Element]) throws {
    guard NumPyHeader.elementCount(shape) == elements.count else {
      throw ArchiveError(
        .wrongType, "array", expected: "as many elements as the shape \(shape) has", found: "\(elements.count)")
    }
    self.init(shape: shape, kind: Element.numPyKind, bytes: elements.withUnsafeBytes { Array($0) })
  }

  public var count: Int { bytes.count / kind.size }

  /// The elements as `Element`, row-major. Integers that do not fit are an error; so are fractions asked for as integers.
  public func elements<Element: NumPyElement>(as type: Element.Type = Element.self) throws -> [Element] {
    try bytes.withUnsafeBytes { try Self.convert($0, kind: kind) }
  }

  /// The numbers in `raw`, which may be unaligned.
  package static func convert<Element: NumPyElement>(
    _ raw: UnsafeRawBufferPointer, kind: NumPyElementKind
  ) throws -> [Element] {
    let count = raw.count / kind.size
    if kind == Element.numPyKind {
      return [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
        UnsafeMutableRawBufferPointer(buffer).copyMemory(from: raw)
        initialized = count
      }
    }
    // The common case without generics, which are slow across modules.
    if Element.self == Float.self, let floats = try convertGenerically(raw, kind: kind, to: Float.self) as? [Element] {
      return floats
    }
    return try convertGenerically(raw, kind: kind, to: Element.self)
  }

  @inline(__always)
  private static func convertGenerically<Element: NumPyElement>(
    _ raw: UnsafeRawBufferPointer, kind: NumPyElementKind, to type: Element.Type
  ) throws -> [Element] {
    var elements: [Element] = []
    elements.reserveCapacity(raw.count / kind.size)
    func refused(_ value: String) -> ArchiveError {
      ArchiveError(
        .wrongType, "array of \(kind.rawValue)", expected: "numbers that fit \(Element.numPyKind.rawValue)",
        found: value)
    }
    func signed<Stored: FixedWidthInteger & SignedInteger & BitwiseCopyable>(_ type: Stored.Type) throws {
      for offset in stride(from: 0, to: raw.count, by: MemoryLayout<Stored>.size) {
        let value = raw.loadUnaligned(fromByteOffset: offset, as: type)
        guard let element = Element.converted(from: Int64(value)) else { throw refused("\(value)") }
        elements.append(element)
      }
    }
    func unsigned<Stored: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(_ type: Stored.Type) throws {
      for offset in stride(from: 0, to: raw.count, by: MemoryLayout<Stored>.size) {
        let value = raw.loadUnaligned(fromByteOffset: offset, as: type)
        guard let element = Element.converted(from: UInt64(value)) else { throw refused("\(value)") }
        elements.append(element)
      }
    }
    func floating<Stored: BitwiseCopyable>(_ type: Stored.Type, _ widen: (Stored) -> Double) throws {
      for offset in stride(from: 0, to: raw.count, by: MemoryLayout<Stored>.size) {
        let value = widen(raw.loadUnaligned(fromByteOffset: offset, as: type))
        guard let element = Element.converted(from: value) else { throw refused("\(value)") }
        elements.append(element)
      }
    }
    switch kind {
    case .bool, .uint8: try unsigned(UInt8.self)
    case .uint16: try unsigned(UInt16.self)
    case .uint32: try unsigned(UInt32.self)
    case .uint64: try unsigned(UInt64.self)
    case .int8: try signed(Int8.self)
    case .int16: try signed(Int16.self)
    case .int32: try signed(Int32.self)
    case .int64: try signed(Int64.self)
    case .float16: try floating(UInt16.self) { Double(HalfPrecision.float(binary16: $0)) }
    case .float32: try floating(Float.self) { Double($0) }
    case .float64: try floating(Double.self) { $0 }
    }
    return elements
  }
}

extension NumPyArray {
  /// Reads an `.npy` file (format versions 1 to 3).
  public init(npyFile path: String) throws {
    let source = try FileBytes(path)
    try self.init(npy: source.bytes(at: 0, count: source.count), name: path)
  }

  /// Reads the bytes of an `.npy` file.
  public init(npy bytes: [UInt8], name: String) throws {
    let header = try NumPyHeader(parsing: bytes, name: name)
    let payload = bytes[header.length...]
    guard payload.count >= header.byteCount else {
      throw ArchiveError(
        .damaged, name, expected: "\(header.byteCount) bytes for the shape \(header.shape)", found: "\(payload.count)")
    }
    self.init(shape: header.shape, kind: header.kind, bytes: header.normalized(payload.prefix(header.byteCount)))
  }

  /// The bytes of an `.npy` file.
  public var npy: [UInt8] { NumPyHeader.bytes(shape: shape, kind: kind) + bytes }
}
