/// A JSON-like value, as plans hold it: what a caller that reads JSON converts its own values to.
public indirect enum ConfigurationValue: Sendable {
  case null
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case array([ConfigurationValue])
  /// Members in the order of the file.
  case object([(key: String, value: ConfigurationValue)])

  /// What kind of value this is, for messages.
  var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .integer: "an integer"
    case .number: "a number"
    case .string(let text): "the string '\(text)'"
    case .array: "a list"
    case .object: "an object"
    }
  }

  var isNull: Bool {
    if case .null = self { true } else { false }
  }
}

// No nil literal: beside optionals it would turn "absent" into `.null` unseen.
extension ConfigurationValue: ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
  ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(integerLiteral value: Int) { self = .integer(value) }
  public init(floatLiteral value: Double) { self = .number(value) }
  public init(stringLiteral value: String) { self = .string(value) }
  public init(arrayLiteral elements: ConfigurationValue...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, ConfigurationValue)...) {
    self = .object(elements.map { (key: $0.0, value: $0.1) })
  }
}

/// A network description that can't be built, with the place in the plans and what would be accepted.
public struct ArchitectureError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Where in `architecture` of the plans: `arch_kwargs.strides[2]`.
  public var path: String
  public var expected: String
  public var found: String

  public init(path: String, expected: String, found: String) {
    self.path = path
    self.expected = expected
    self.found = found
  }

  public var description: String {
    "the network architecture in the plans is not usable: \(path): expected \(expected), found \(found)"
  }
}

/// Reads the members of an object one by one and complains about those nobody asked for.
struct ConfigurationReader {
  private let path: String
  private var members: [(key: String, value: ConfigurationValue)]

  /// - Parameter value: an object; `null` counts as an empty one.
  init(_ value: ConfigurationValue, path: String) throws {
    self.path = path
    switch value {
    case .object(let members): self.members = members
    case .null: members = []
    default: throw ArchitectureError(path: path, expected: "an object", found: value.kind)
    }
  }

  func path(_ key: String) -> String { "\(path).\(key)" }

  /// Whether the member is there, be it null.
  func contains(_ key: String) -> Bool { members.contains { $0.key == key } }

  /// The member's value; `nil` if it is absent or null.
  mutating func take(_ key: String) -> ConfigurationValue? {
    guard let index = members.firstIndex(where: { $0.key == key }) else { return nil }
    let value = members.remove(at: index).value
    return value.isNull ? nil : value
  }

  mutating func require<Value>(
    _ key: String, _ convert: (ConfigurationValue, String) throws -> Value
  ) throws -> Value {
    guard let value = take(key) else {
      throw ArchitectureError(path: path(key), expected: "a value", found: "nothing")
    }
    return try convert(value, path(key))
  }

  mutating func optional<Value>(
    _ key: String, _ convert: (ConfigurationValue, String) throws -> Value
  ) throws -> Value? {
    guard let value = take(key) else { return nil }
    return try convert(value, path(key))
  }

  /// Throws if a member is left that was not asked for.
  func finish(_ what: String) throws {
    guard members.isEmpty else {
      throw ArchitectureError(
        path: path, expected: "only keys that \(what) takes",
        found: "unknown " + members.map { "'\($0.key)'" }.joined(separator: ", "))
    }
  }
}

enum ConfigurationConversion {
  static func integer(_ value: ConfigurationValue, _ path: String) throws -> Int {
    switch value {
    case .integer(let integer): return integer
    case .number(let number):
      if let integer = Int(exactly: number) { return integer }
    default: break
    }
    throw ArchitectureError(path: path, expected: "an integer", found: value.kind)
  }

  static func positive(_ value: ConfigurationValue, _ path: String) throws -> Int {
    let integer = try integer(value, path)
    guard integer > 0 else { throw ArchitectureError(path: path, expected: "at least 1", found: "\(integer)") }
    return integer
  }

  static func number(_ value: ConfigurationValue, _ path: String) throws -> Double {
    switch value {
    case .integer(let integer): Double(integer)
    case .number(let number): number
    default: throw ArchitectureError(path: path, expected: "a number", found: value.kind)
    }
  }

  static func bool(_ value: ConfigurationValue, _ path: String) throws -> Bool {
    guard case .bool(let bool) = value else {
      throw ArchitectureError(path: path, expected: "true or false", found: value.kind)
    }
    return bool
  }

  static func string(_ value: ConfigurationValue, _ path: String) throws -> String {
    guard case .string(let text) = value else {
      throw ArchitectureError(path: path, expected: "a string", found: value.kind)
    }
    return text
  }

  /// The last component of a Python path: `torch.nn.modules.conv.Conv3d` is `Conv3d`.
  static func className(_ value: ConfigurationValue, _ path: String) throws -> String {
    let text = try string(value, path)
    return text.split(separator: ".").last.map(String.init) ?? text
  }

  /// A list of `count` values, or one value for all of them.
  static func list<Value>(
    _ value: ConfigurationValue, _ path: String, count: Int, what: String,
    _ convert: (ConfigurationValue, String) throws -> Value
  ) throws -> [Value] {
    guard case .array(let elements) = value else {
      return try [Value](repeating: convert(value, path), count: count)
    }
    guard elements.count == count else {
      throw ArchitectureError(
        path: path, expected: "one value, or \(count) of them (one for each \(what))", found: "\(elements.count)")
    }
    return try elements.enumerated().map { try convert($1, "\(path)[\($0)]") }
  }
}
