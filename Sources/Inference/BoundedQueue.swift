import Dispatch
import Synchronization

/// Hands elements from threads to threads; who is too fast waits.
final class BoundedQueue<Element: Sendable>: Sendable {
  private let elements = Mutex<[Element]>([])
  // Both start at 0: a semaphore below its first value must not be destroyed.
  private let room = DispatchSemaphore(value: 0)
  private let waiting = DispatchSemaphore(value: 0)

  init(capacity: Int) {
    for _ in 0..<max(1, capacity) { room.signal() }
  }

  /// Waits for room, then appends.
  func push(_ element: Element) {
    room.wait()
    elements.withLock { $0.append(element) }
    waiting.signal()
  }

  /// Waits for the next element; `nil` once the queue is closed and empty.
  func pop() -> Element? {
    waiting.wait()
    let element = elements.withLock { $0.isEmpty ? nil : $0.removeFirst() }
    if element == nil {
      // Closed: the next one who waits must know too.
      waiting.signal()
    } else {
      room.signal()
    }
    return element
  }

  /// Says that no more elements come.
  func close() {
    // More signals than elements: whoever finds nothing knows, and passes the signal on.
    waiting.signal()
  }
}
