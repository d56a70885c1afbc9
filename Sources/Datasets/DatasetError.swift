/// What is wrong with a file or folder of a data set, where, and what to do about it.
public struct DatasetError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Kind: Hashable, Sendable {
    /// A file, folder, data set, configuration or environment variable that isn't there.
    case notFound
    /// A file the system refused to read or write.
    case inaccessible
    /// A key that the file must have.
    case missingKey
    /// A value of another type than expected.
    case wrongType
    /// A value of the right type that makes no sense.
    case invalidValue
    /// More than one thing answers to the name.
    case ambiguous
  }

  public let kind: Kind
  /// The file or folder, if the error belongs to one.
  public let file: String?
  /// What was expected and what was found.
  public let problem: String
  /// What the user can do.
  public let advice: String

  public init(_ kind: Kind, file: String?, problem: String, advice: String) {
    self.kind = kind
    self.file = file
    self.problem = problem
    self.advice = advice
  }

  public var description: String {
    let place = file.map { $0 + ": " } ?? ""
    return advice.isEmpty ? "\(place)\(problem)" : "\(place)\(problem). \(advice)"
  }
}

/// A place in a text that isn't JSON.
public struct JSONSyntaxError: Error, Hashable, Sendable, CustomStringConvertible {
  public let file: String?
  /// Counted from 1.
  public let line: Int
  /// Counted in bytes from 1.
  public let column: Int
  public let problem: String

  public var description: String {
    "\(file ?? "JSON text"), line \(line), column \(column): \(problem). Correct the file, or write it anew"
  }
}
