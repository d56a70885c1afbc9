import Archives

/// Numbers with a name and a shape, row-major, in the axis order of the file they come from.
public struct NamedArray: Sendable, Equatable {
  public var name: String
  public var shape: [Int]
  public var elements: [Float]

  public init(name: String, shape: [Int], elements: [Float]) {
    self.name = name
    self.shape = shape
    self.elements = elements
  }
}

/// The element types of PyTorch storages that are read.
public enum PyTorchElementKind: String, Sendable, Equatable, CaseIterable {
  case float32 = "FloatStorage"
  case float64 = "DoubleStorage"
  case float16 = "HalfStorage"
  case bfloat16 = "BFloat16Storage"
  case int64 = "LongStorage"
  case int32 = "IntStorage"
  case int16 = "ShortStorage"
  case int8 = "CharStorage"
  case uint8 = "ByteStorage"
  case bool = "BoolStorage"

  /// Bytes of one element.
  public var size: Int {
    switch self {
    case .int8, .uint8, .bool: 1
    case .float16, .bfloat16, .int16: 2
    case .float32, .int32: 4
    case .float64, .int64: 8
    }
  }
}

/// Where a tensor's elements lie: a storage, and the way through it.
public struct PyTorchTensor: Sendable, Hashable {
  public let shape: [Int]
  /// Steps between neighbours along each axis, in elements.
  public let strides: [Int]
  /// The first element's place in the storage, in elements.
  public let offset: Int
  public let kind: PyTorchElementKind
  /// The storage's name in the file.
  public let storageKey: String
  /// Elements in the storage.
  public let storageCount: Int

  public var count: Int { shape.reduce(1, *) }

  /// Whether the elements follow each other in row-major order.
  var isContiguous: Bool {
    var expected = 1
    for axis in shape.indices.reversed() {
      if shape[axis] != 1 && strides[axis] != expected { return false }
      expected *= shape[axis]
    }
    return true
  }

  /// A tensor that takes more elements than this and more than its storage has is refused: a stride of 0 could ask for
  /// any amount of memory.
  static let largestExpansion = 1 << 22

  /// Reads what PyTorch pickles for a tensor or parameter; `nil` where `value` is something else.
  init?(_ value: PickleValue, name: String) throws {
    guard case .object(let object) = value else { return nil }
    let arguments = object.arguments
    switch object.className {
    case "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor":
      try self.init(arguments: arguments, name: name)
    case "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state",
      "torch.nn.parameter.Parameter":
      guard let data = arguments.first else { return nil }
      try self.init(data, name: name)
    case "torch._tensor._rebuild_from_type_v2":
      guard arguments.count == 4, case .classReference(let function) = arguments[0],
        let inner = arguments[2].elements
      else { return nil }
      try self.init(.object(PickleObject(className: function, arguments: inner)), name: name)
    default: return nil
    }
  }

  private init(arguments: [PickleValue], name: String) throws {
    func damaged(_ expected: String, _ found: String) -> ArchiveError {
      ArchiveError(.damaged, name, expected: expected, found: found)
    }
    guard arguments.count >= 4, case .persistent(let identifier) = arguments[0], let parts = identifier.elements,
      parts.count >= 5, parts[0].string == "storage", case .classReference(let storageClass) = parts[1],
      let key = parts[2].string ?? parts[2].integer.map(String.init), let storageCount = parts[4].integer,
      let offset = arguments[1].integer, let shape = arguments[2].axisLengths,
      let strides = arguments[3].axisLengths
    else { throw damaged("a tensor with a storage, offset, shape and strides", "something else") }
    let kindName = storageClass.split(separator: ".").last.map(String.init) ?? ""
    guard let kind = PyTorchElementKind(rawValue: kindName) else {
      throw ArchiveError(
        .refused, name, expected: "a storage of floating-point numbers or integers", found: "'\(storageClass)'")
    }
    guard shape.count == strides.count, shape.count <= 64, storageCount >= 0, offset >= 0,
      shape.allSatisfy({ $0 >= 0 }), strides.allSatisfy({ $0 >= 0 }),
      !storageCount.multipliedReportingOverflow(by: kind.size).overflow
    else { throw damaged("sensible shape and strides", "shape \(shape), strides \(strides), offset \(offset)") }
    var count = 1
    var last = offset
    var isTooLarge = false
    for (length, stride) in zip(shape, strides) where length > 0 {
      let product = count.multipliedReportingOverflow(by: length)
      let reach = (length - 1).multipliedReportingOverflow(by: stride)
      let sum = last.addingReportingOverflow(reach.partialValue)
      isTooLarge = isTooLarge || product.overflow || reach.overflow || sum.overflow
      (count, last) = (product.partialValue, sum.partialValue)
    }
    if shape.contains(0) { (count, last, isTooLarge) = (0, -1, false) }
    guard !isTooLarge, last < storageCount, count <= max(storageCount, Self.largestExpansion) else {
      throw damaged(
        "a tensor inside its storage of \(storageCount) elements",
        "shape \(shape), strides \(strides), offset \(offset)")
    }
    self.shape = shape
    self.strides = strides
    self.offset = offset
    self.kind = kind
    self.storageKey = key
    self.storageCount = storageCount
  }
}

extension PickleValue {
  /// A tuple of integers, also as `torch.Size`.
  fileprivate var axisLengths: [Int]? {
    if case .object(let object) = self, object.className == "torch.Size" { return object.arguments.first?.integers }
    return integers
  }
}

extension PyTorchElementKind {
  /// The numbers in `raw`, little endian, as 32-bit floats.
  func floats(_ raw: UnsafeRawBufferPointer) -> [Float] {
    func widen<Stored: BitwiseCopyable>(_ type: Stored.Type, _ convert: (Stored) -> Float) -> [Float] {
      let count = raw.count / MemoryLayout<Stored>.size
      return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
        for index in 0..<count {
          buffer[index] = convert(raw.loadUnaligned(fromByteOffset: index * MemoryLayout<Stored>.size, as: type))
        }
        initialized = count
      }
    }
    switch self {
    case .float32:
      let count = raw.count / 4
      return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
        UnsafeMutableRawBufferPointer(buffer).copyMemory(from: UnsafeRawBufferPointer(rebasing: raw[..<(count * 4)]))
        initialized = count
      }
    case .float64: return widen(Double.self) { Float($0) }
    case .float16: return widen(UInt16.self) { HalfPrecision.float(binary16: $0) }
    case .bfloat16: return widen(UInt16.self) { HalfPrecision.float(brain16: $0) }
    case .int64: return widen(Int64.self) { Float($0) }
    case .int32: return widen(Int32.self) { Float($0) }
    case .int16: return widen(Int16.self) { Float($0) }
    case .int8: return widen(Int8.self) { Float($0) }
    case .uint8: return widen(UInt8.self) { Float($0) }
    case .bool: return widen(UInt8.self) { $0 == 0 ? 0 : 1 }
    }
  }
}
