import Synchronization

/// Asks a running prediction to stop; from any thread, also from a signal handler's queue.
public final class Cancellation: Sendable {
  private let flag = Atomic<Bool>(false)

  public init() {}

  /// Stops the prediction after the tiles the network is working on.
  public func cancel() { flag.store(true, ordering: .relaxed) }

  public var isCancelled: Bool { flag.load(ordering: .relaxed) }

  /// - Throws: `CancellationError` once ``cancel()`` was called.
  func check() throws {
    if isCancelled { throw CancellationError() }
  }
}
