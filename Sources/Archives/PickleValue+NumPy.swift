/// NumPy's scalars and arrays, in the form in which NumPy's own pickling writes them.
extension PickleValue {
  /// A NumPy scalar as a plain value; `nil` where this is none.
  public var numPyScalar: PickleValue? {
    guard case .object(let object) = self,
      ["numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"].contains(object.className),
      object.arguments.count == 2, let type = object.arguments[0].numPyElementType,
      case .bytes(let bytes) = object.arguments[1], bytes.count == type.kind.size
    else { return nil }
    let ordered = type.isBigEndian ? bytes.reversed() : bytes
    return ordered.withUnsafeBytes { raw in
      switch type.kind {
      case .bool: .bool(raw[0] != 0)
      case .int8: .integer(Int(raw.load(as: Int8.self)))
      case .int16: .integer(Int(raw.loadUnaligned(as: Int16.self)))
      case .int32: .integer(Int(raw.loadUnaligned(as: Int32.self)))
      case .int64: .integer(raw.loadUnaligned(as: Int.self))
      case .uint8: .integer(Int(raw[0]))
      case .uint16: .integer(Int(raw.loadUnaligned(as: UInt16.self)))
      case .uint32: .integer(Int(raw.loadUnaligned(as: UInt32.self)))
      case .uint64:
        Int(exactly: raw.loadUnaligned(as: UInt64.self)).map { .integer($0) }
          ?? .bigInteger(String(raw.loadUnaligned(as: UInt64.self)))
      case .float16: .float(Double(HalfPrecision.float(binary16: raw.loadUnaligned(as: UInt16.self))))
      case .float32: .float(Double(raw.loadUnaligned(as: Float.self)))
      case .float64: .float(raw.loadUnaligned(as: Double.self))
      }
    }
  }

  /// A NumPy array; `nil` where this is none, or one of an element type that is not read.
  public var numPyArray: NumPyArray? {
    guard case .object(let object) = self else { return nil }
    let shape: [Int]?
    let elementType: PickleValue
    let payload: PickleValue
    let isFortranOrder: Bool
    switch object.className {
    case "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct":
      guard let state = object.state?.elements, state.count == 5, case .bool(let fortran) = state[3] else { return nil }
      (shape, elementType, payload, isFortranOrder) = (state[1].integers, state[2], state[4], fortran)
    case "numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer":
      let arguments = object.arguments
      guard arguments.count == 4, let order = arguments[3].string else { return nil }
      (shape, elementType, payload, isFortranOrder) = (arguments[2].integers, arguments[1], arguments[0], order == "F")
    default: return nil
    }
    guard let shape, let type = elementType.numPyElementType, case .bytes(let bytes) = payload,
      let count = NumPyHeader.elementCount(shape), !count.multipliedReportingOverflow(by: type.kind.size).overflow,
      count * type.kind.size == bytes.count
    else { return nil }
    let header = NumPyHeader(
      shape: shape, kind: type.kind, isFortranOrder: isFortranOrder, isBigEndian: type.isBigEndian, length: 0,
      byteCount: bytes.count)
    return NumPyArray(shape: shape, kind: type.kind, bytes: header.normalized(bytes[...]))
  }

  /// The numbers of a list or tuple of integers.
  public var integers: [Int]? {
    guard let elements else { return nil }
    let numbers = elements.compactMap(\.integer)
    return numbers.count == elements.count ? numbers : nil
  }

  /// The numbers of a list or tuple, or of a NumPy array.
  public var numbers: [Double]? {
    if let array = numPyArray { return try? array.elements(as: Double.self) }
    guard let elements else { return nil }
    let numbers = elements.compactMap(\.number)
    return numbers.count == elements.count ? numbers : nil
  }

  private var numPyElementType: (kind: NumPyElementKind, isBigEndian: Bool)? {
    guard case .object(let object) = self, object.className == "numpy.dtype", let name = object.arguments.first?.string
    else { return nil }
    var short = name
    var isBigEndian = false
    if let first = short.first, "<>|=".contains(first) {
      isBigEndian = first == ">"
      short.removeFirst()
    }
    if let state = object.state?.elements, state.count > 1, let order = state[1].string { isBigEndian = order == ">" }
    guard let kind = NumPyElementKind(rawValue: short) else { return nil }
    return (kind, isBigEndian && kind.size > 1)
  }

  /// An array as NumPy 1 and 2 load it.
  public static func array(_ array: NumPyArray) -> PickleValue {
    .object(
      PickleObject(
        className: "numpy.core.multiarray._reconstruct",
        arguments: [.classReference("numpy.ndarray"), .tuple([.integer(0)]), .bytes([UInt8(ascii: "b")])],
        state: .tuple([
          .integer(1), .tuple(array.shape.map { .integer($0) }), elementType(array.kind), .bool(false),
          .bytes(array.bytes),
        ])))
  }

  /// A scalar as NumPy 1 and 2 load it.
  public static func numPyScalar<Element: NumPyElement>(_ value: Element) -> PickleValue {
    .object(
      PickleObject(
        className: "numpy.core.multiarray.scalar",
        arguments: [
          elementType(Element.numPyKind), withUnsafeBytes(of: value) { .bytes(Array($0)) },
        ]))
  }

  private static func elementType(_ kind: NumPyElementKind) -> PickleValue {
    .object(
      PickleObject(
        className: "numpy.dtype", arguments: [.string(kind.rawValue), .bool(false), .bool(true)],
        state: .tuple([
          .integer(3), .string(kind.size == 1 ? "|" : "<"), .none, .none, .none, .integer(-1), .integer(-1),
          .integer(0),
        ])))
  }
}
