import Foundation
import OrderedCollections

/// A JSON value whose objects keep the order of their keys, as Python's dictionaries do.
///
/// Integers and floating-point numbers stay apart (`1` and `1.0` differ in Python), and `NaN`, `Infinity` and
/// `-Infinity` are read and written as Python's `json` module does, because nnU-Net's files contain them.
public enum JSONValue: Hashable, Sendable {
  public typealias Object = OrderedDictionary<String, JSONValue>

  case null
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object(Object)
}

extension JSONValue {
  /// The value of a key of an object; `nil` for a missing key and for anything but an object.
  public subscript(key: String) -> JSONValue? {
    if case .object(let object) = self { object[key] } else { nil }
  }

  public var object: Object? {
    if case .object(let object) = self { object } else { nil }
  }

  public var array: [JSONValue]? {
    if case .array(let array) = self { array } else { nil }
  }

  public var string: String? {
    if case .string(let string) = self { string } else { nil }
  }

  public var bool: Bool? {
    if case .bool(let bool) = self { bool } else { nil }
  }

  /// An integer, or a floating-point number that has an exact integer value.
  public var int: Int? {
    switch self {
    case .integer(let integer): integer
    case .number(let number): Int(exactly: number)
    default: nil
    }
  }

  /// Any number.
  public var double: Double? {
    switch self {
    case .integer(let integer): Double(integer)
    case .number(let number): number
    default: nil
    }
  }

  public var isNull: Bool { self == .null }

  /// What the value is, for messages.
  package var kindName: String {
    switch self {
    case .null: "null"
    case .bool(let bool): bool ? "true" : "false"
    case .integer(let integer): "the integer \(integer)"
    case .number(let number): "the number \(number)"
    case .string(let string): "the string \"\(string.prefix(60))\""
    case .array(let array): "a list of \(array.count)"
    case .object(let object): "an object with \(object.count) keys"
    }
  }
}

extension JSONValue {
  /// Reads a JSON file.
  /// - Throws: ``DatasetError`` if the file can't be read, ``JSONSyntaxError`` if it isn't JSON.
  public init(contentsOf file: URL) throws {
    let data: Data
    do {
      data = try Data(contentsOf: file)
    } catch {
      let exists = FileManager.default.fileExists(atPath: file.path)
      throw DatasetError(
        exists ? .inaccessible : .notFound, file: file.path,
        problem: exists ? "the file can't be read (\(error.localizedDescription))" : "there is no such file",
        advice: exists ? "Check its permissions" : "Check the path and the folder's contents")
    }
    try self.init(parsing: [UInt8](data), file: file.path)
  }

  /// Writes the value as nnU-Net's `save_json` does; the file is whole or absent, never half written.
  /// - Parameter sortKeys: `true` sorts the keys of all objects by code point, `false` keeps their order.
  public func write(to file: URL, sortKeys: Bool = false) throws {
    do {
      try Data(text(indent: 4, sortKeys: sortKeys).utf8).write(to: file, options: .atomic)
    } catch {
      throw DatasetError(
        .inaccessible, file: file.path, problem: "the file can't be written (\(error.localizedDescription))",
        advice: "Check that the folder exists, may be written to and has space left")
    }
  }
}

extension JSONValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  public init(nilLiteral: ()) { self = .null }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(integerLiteral value: Int) { self = .integer(value) }
  public init(floatLiteral value: Double) { self = .number(value) }
  public init(stringLiteral value: String) { self = .string(value) }
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  /// The last of equal keys wins, as in Python.
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(Object(elements, uniquingKeysWith: { $1 }))
  }
}

extension JSONValue {
  public init(_ values: [Int]) { self = .array(values.map { .integer($0) }) }
  public init(_ values: [Double]) { self = .array(values.map { .number($0) }) }
  public init(_ values: [String]) { self = .array(values.map { .string($0) }) }
  public init(_ values: [Bool]) { self = .array(values.map { .bool($0) }) }
  public init(_ values: [[Int]]) { self = .array(values.map { JSONValue($0) }) }
}
