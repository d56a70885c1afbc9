import Dispatch
import Foundation
import Synchronization

/// Makes numbered items in background threads and hands them out in order.
///
/// Which thread makes an item has no influence on it, so the order and the items are the same for any number of
/// threads. At most `capacity` items are in the making or waiting, which bounds the memory.
package final class Prefetcher<Item: Sendable>: Sendable {
  private struct State: Sendable {
    var nextToMake: Int
    var nextToTake: Int
    var finished: [Int: Result<Item, any Error>] = [:]
    var isStopped = false
  }

  private let state: Mutex<State>
  private let free: DispatchSemaphore
  private let ready = DispatchSemaphore(value: 0)
  private let threadCount: Int
  private let make: @Sendable (Int) throws -> Item

  /// - Parameters:
  ///   - first: the number of the first item.
  ///   - make: makes one item; called from several threads at once.
  package init(threads: Int, capacity: Int, first: Int, make: @escaping @Sendable (Int) throws -> Item) {
    threadCount = max(1, threads)
    state = Mutex(State(nextToMake: first, nextToTake: first))
    // Dispatch wants a semaphore to end with at least the value it began with.
    free = DispatchSemaphore(value: 0)
    for _ in 0..<max(1, capacity) { free.signal() }
    self.make = make
    for _ in 0..<threadCount {
      let thread = Thread { [self] in work() }
      thread.name = "prefetch"
      thread.stackSize = 4 << 20
      thread.start()
    }
  }

  /// The next item; waits until it is made. Rethrows what making it threw.
  package func next() throws -> (item: Item, secondsWaited: Double) {
    let start = DispatchTime.now().uptimeNanoseconds
    while true {
      let result: Result<Item, any Error>? = state.withLock { state in
        guard let result = state.finished.removeValue(forKey: state.nextToTake) else { return nil }
        state.nextToTake += 1
        return result
      }
      if let result {
        free.signal()
        return (try result.get(), Double(DispatchTime.now().uptimeNanoseconds - start) * 1e-9)
      }
      ready.wait()
    }
  }

  /// Ends the threads after the items they are making.
  package func stop() {
    state.withLock { $0.isStopped = true }
    for _ in 0..<threadCount { free.signal() }
  }

  private func work() {
    while true {
      free.wait()
      let index: Int? = state.withLock { state in
        guard !state.isStopped else { return nil }
        defer { state.nextToMake += 1 }
        return state.nextToMake
      }
      guard let index else { return }
      let result = Result { try make(index) }
      state.withLock { $0.finished[index] = result }
      ready.signal()
    }
  }
}
