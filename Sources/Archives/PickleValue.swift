/// A value that a Python pickle describes. Reading builds this tree and never runs anything.
public indirect enum PickleValue: Sendable, Hashable {
  case none
  case bool(Bool)
  case integer(Int)
  /// An integer outside 64 bits, in decimal digits.
  case bigInteger(String)
  case float(Double)
  case string(String)
  case bytes([UInt8])
  case list([PickleValue])
  case tuple([PickleValue])
  /// Also `collections.OrderedDict`.
  case dictionary(PickleDictionary)
  /// Also `frozenset`.
  case set([PickleValue])
  /// An object of an allow-listed class: what its constructor is called with, and its state.
  case object(PickleObject)
  /// An allow-listed class or function itself, `module.name`.
  case classReference(String)
  /// What stands outside the pickle and is known by this identifier (PyTorch's storages).
  case persistent(PickleValue)
}

/// A dictionary that keeps its order.
public struct PickleDictionary: Sendable, Hashable {
  public var keys: [PickleValue]
  public var values: [PickleValue]

  public init() {
    keys = []
    values = []
  }

  /// Entries with string keys.
  public init(_ entries: KeyValuePairs<String, PickleValue>) {
    keys = entries.map { .string($0.key) }
    values = entries.map { $0.value }
  }

  package init(keys: [PickleValue], values: [PickleValue]) {
    self.keys = keys
    self.values = values
  }

  public var count: Int { keys.count }

  /// The value with a string key; searches from the front.
  public subscript(key: String) -> PickleValue? {
    get {
      for (index, candidate) in keys.enumerated() {
        if case .string(key) = candidate { return values[index] }
      }
      return nil
    }
    set {
      let index = keys.firstIndex(of: .string(key))
      switch (index, newValue) {
      case (let index?, let value?): values[index] = value
      case (let index?, nil):
        keys.remove(at: index)
        values.remove(at: index)
      case (nil, let value?):
        keys.append(.string(key))
        values.append(value)
      case (nil, nil): break
      }
    }
  }
}

/// An object of an allow-listed class.
public struct PickleObject: Sendable, Hashable {
  /// `module.name` of the class or function that makes it.
  public var className: String
  public var arguments: [PickleValue]
  /// What `__setstate__` or the attributes get.
  public var state: PickleValue?

  public init(className: String, arguments: [PickleValue], state: PickleValue? = nil) {
    self.className = className
    self.arguments = arguments
    self.state = state
  }
}

/// The classes and functions that a pickle may name, as `module.name`; everything else is refused.
public struct PickleClasses: Sendable {
  package var names: Set<String>

  public init(_ names: Set<String>) { self.names = names }

  /// Python's own containers only.
  public static let plain = PickleClasses([])

  /// Containers and NumPy's arrays and scalars.
  public static let numPy = PickleClasses([
    "numpy.dtype", "numpy.ndarray",
    "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct",
    "numpy._core.numeric._frombuffer", "numpy.core.numeric._frombuffer",
  ])

  public func union(_ other: PickleClasses) -> PickleClasses { PickleClasses(names.union(other.names)) }
}

/// Reading and writing of Python pickles.
public enum Pickle {
  /// Bounds on what a pickle may describe.
  public struct Limits: Sendable {
    /// Levels of nesting.
    public var depth: Int
    /// Values counted as often as they are shared, which bounds what traversing the result costs.
    public var values: Int

    public init(depth: Int = 200, values: Int = 5_000_000) {
      self.depth = depth
      self.values = values
    }
  }

  /// Reads a pickle of protocol 0 to 5. Opcodes and classes that are not allow-listed are refused by name.
  public static func read(
    _ bytes: [UInt8], allowing classes: PickleClasses = .numPy, limits: Limits = Limits(), name: String = "pickle"
  ) throws -> PickleValue {
    var position = 0
    return try read(bytes, at: &position, allowing: classes, limits: limits, name: name)
  }

  /// Reads the pickle that starts at `position`, which then stands behind it.
  package static func read(
    _ bytes: [UInt8], at position: inout Int, allowing classes: PickleClasses, limits: Limits, name: String
  ) throws -> PickleValue {
    var machine = PickleMachine(bytes: bytes, position: position, classes: classes, limits: limits, name: name)
    let root = try machine.run()
    position = machine.position
    return try PickleTreeBuilder(machine: machine, limits: limits).build(root)
  }

  /// Reads a file with one pickle.
  public static func read(
    path: String, allowing classes: PickleClasses = .numPy, limits: Limits = Limits()
  ) throws -> PickleValue {
    let source = try FileBytes(path)
    return try read(source.bytes(at: 0, count: source.count), allowing: classes, limits: limits, name: path)
  }
}

extension PickleValue {
  /// The text of a string.
  public var string: String? {
    if case .string(let value) = self { value } else { nil }
  }

  /// An integer, also of NumPy; `True` and `False` are not integers here.
  public var integer: Int? {
    switch self {
    case .integer(let value): value
    case .object: numPyScalar?.integer
    default: nil
    }
  }

  /// A floating-point number or an integer, also of NumPy.
  public var number: Double? {
    switch self {
    case .float(let value): value
    case .integer(let value): Double(value)
    case .bigInteger(let digits): Double(digits)
    case .object: numPyScalar?.number
    default: nil
    }
  }

  /// A truth value, also of NumPy.
  public var bool: Bool? {
    switch self {
    case .bool(let value): value
    case .object: numPyScalar?.bool
    default: nil
    }
  }

  /// The elements of a list or tuple.
  public var elements: [PickleValue]? {
    switch self {
    case .list(let values), .tuple(let values): values
    default: nil
    }
  }

  public var dictionary: PickleDictionary? {
    if case .dictionary(let value) = self { value } else { nil }
  }

  /// The value of a dictionary's string key.
  public subscript(key: String) -> PickleValue? { dictionary?[key] }
}
