import Foundation

/// A value together with its place in a file, so that a wrong type is reported with file, key and what was found.
public struct JSONField: Sendable {
  public let value: JSONValue
  /// The keys and indices that lead to the value, such as `configurations.2d.patch_size[1]`; empty at the root.
  public let path: String
  public let file: String?

  public init(_ value: JSONValue, path: String = "", file: String? = nil) {
    self.value = value
    self.path = path
    self.file = file
  }

  /// Reads a JSON file.
  public init(contentsOf file: URL) throws {
    self.init(try JSONValue(contentsOf: file), file: file.path)
  }

  // MARK: Going deeper

  /// The value of a key that must be there.
  public func field(_ key: String) throws -> JSONField {
    let object = try object()
    guard let value = object[key] else {
      throw DatasetError(
        .missingKey, file: file, problem: "the key '\(child(key))' is missing",
        advice: "The keys there are: \(object.keys.joined(separator: ", "))")
    }
    return JSONField(value, path: child(key), file: file)
  }

  /// The value of a key; `nil` if the key is missing or its value is null.
  public func optionalField(_ key: String) throws -> JSONField? {
    guard let value = try object()[key], !value.isNull else { return nil }
    return JSONField(value, path: child(key), file: file)
  }

  public func elements() throws -> [JSONField] {
    guard let array = value.array else { throw wrongType("a list") }
    return array.enumerated().map { JSONField($1, path: "\(path)[\($0)]", file: file) }
  }

  /// The key and the field of every entry of an object, in order.
  public func entries() throws -> [(key: String, field: JSONField)] {
    try object().map { (key: $0, field: JSONField($1, path: child($0), file: file)) }
  }

  // MARK: Values

  public func object() throws -> JSONValue.Object {
    guard let object = value.object else { throw wrongType("an object") }
    return object
  }

  public func string() throws -> String {
    guard let string = value.string else { throw wrongType("a string") }
    return string
  }

  public func bool() throws -> Bool {
    guard let bool = value.bool else { throw wrongType("true or false") }
    return bool
  }

  public func int() throws -> Int {
    guard let int = value.int else { throw wrongType("an integer") }
    return int
  }

  public func double() throws -> Double {
    guard let double = value.double else { throw wrongType("a number") }
    return double
  }

  public func strings() throws -> [String] { try elements().map { try $0.string() } }
  public func bools() throws -> [Bool] { try elements().map { try $0.bool() } }
  public func ints() throws -> [Int] { try elements().map { try $0.int() } }
  public func doubles() throws -> [Double] { try elements().map { try $0.double() } }

  // MARK: Errors

  public func wrongType(_ expected: String) -> DatasetError {
    DatasetError(
      .wrongType, file: file,
      problem: "\(path.isEmpty ? "the file" : "'\(path)'") should be \(expected), but is \(value.kindName)",
      advice: "Correct the file, or have it written anew")
  }

  public func invalid(_ problem: String, advice: String) -> DatasetError {
    DatasetError(.invalidValue, file: file, problem: path.isEmpty ? problem : "'\(path)': \(problem)", advice: advice)
  }

  private func child(_ key: String) -> String { path.isEmpty ? key : path + "." + key }
}
