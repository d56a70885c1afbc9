/// A case that could not be done, while the others were.
public struct CaseFailure: Error, Hashable, Sendable, CustomStringConvertible {
  /// The case's file name or identifier.
  public let identifier: String
  public let reason: String

  public init(identifier: String, reason: String) {
    self.identifier = identifier
    self.reason = reason
  }

  public var description: String { "\(identifier): \(reason)" }
}
