import Synchronization

/// What was already warned of, so that functions that are compiled many times say it once.
public final class CompileWarnings: Sendable {
  /// The process' own: every function that is given no other takes part.
  public static let shared = CompileWarnings()

  private let names = Mutex<Set<String>>([])

  public init() {}

  /// Whether this name's range is missed for the first time.
  func isFirst(_ name: String) -> Bool { names.withLock { $0.insert(name).inserted } }
}
