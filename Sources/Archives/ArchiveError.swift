/// What went wrong with an archive, array or pickle: where, what was expected, what was found.
public struct ArchiveError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The kind of failure, for callers that react to it.
  public enum Kind: Sendable, Equatable {
    /// The file does not exist or may not be read.
    case cannotOpen
    /// Bytes are missing, contradict each other, or fail their checksum.
    case damaged
    /// The bytes are in order and use something that is refused: encryption, an unknown method, opcode or class.
    case refused
    /// More data than a bound allows.
    case tooLarge
    /// An entry or key is missing.
    case missing
    /// A value exists and has another type or shape.
    case wrongType
    /// Writing failed.
    case cannotWrite
  }

  public let kind: Kind
  /// The file, and after `:` the entry in it.
  public let source: String
  public let expected: String
  public let found: String

  package init(_ kind: Kind, _ source: String, expected: String, found: String) {
    self.kind = kind
    self.source = source
    self.expected = expected
    self.found = found
  }

  public var description: String {
    let advice =
      switch kind {
      case .damaged: "; the file is damaged or incomplete, copy or make it again"
      case .refused: "; nothing in it was run or used"
      case .cannotOpen, .tooLarge, .missing, .wrongType, .cannotWrite: ""
      }
    return "\(source): expected \(expected), found \(found)\(advice)"
  }
}
