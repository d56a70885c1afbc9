import Datasets
import Foundation

/// The cases of a data set that could not be worked on, each with its reason.
public struct CaseFailures: Error, CustomStringConvertible {
  public struct Failure: Sendable {
    public let identifier: String
    public let error: any Error
  }

  /// What was tried, such as "extracting the fingerprint".
  public let work: String
  public let failures: [Failure]
  public let caseCount: Int

  public var description: String {
    let list = failures.map { "  \($0.identifier): \($0.error)" }.joined(separator: "\n")
    return "\(work) failed for \(failures.count) of \(caseCount) cases. Correct or remove them and run again:\n\(list)"
  }
}
