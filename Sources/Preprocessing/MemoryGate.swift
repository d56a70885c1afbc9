import Foundation

/// Lets work in as long as its estimated memory fits, or nothing else is inside.
///
/// Estimates are about what a piece of work takes at its peak; together they keep a run within what the machine has,
/// so that no case is ever the one that the system kills the program for.
package final class MemoryGate: @unchecked Sendable {
  /// Bytes that all work inside may take together.
  package let limit: Int
  /// Bytes that the machine has at all; larger work is refused. `nil` refuses nothing.
  package let capacity: Int?

  // Guarded by the condition's lock.
  private let condition = NSCondition()
  private var used = 0
  private var inside = 0
  private var largestUsed = 0
  private var mostInside = 0

  /// - Parameter limit: `nil` for nine tenths of the memory available now.
  package init(limit: Int?) {
    capacity = AvailableMemory.bytes()
    self.limit = limit ?? capacity.map { $0 / 10 * 9 } ?? Int(ProcessInfo.processInfo.physicalMemory / 2)
  }

  /// Waits until the work fits, does it, and makes room again.
  /// - Throws: ``PreprocessingError/notEnoughMemory(needed:available:)`` if it never will fit; what `work` throws.
  package func run<Result>(bytes: Int, _ work: () throws -> Result) throws -> Result {
    if let capacity, bytes > capacity {
      throw PreprocessingError.notEnoughMemory(needed: bytes, available: capacity)
    }
    condition.lock()
    while inside > 0 && used + bytes > limit { condition.wait() }
    used += bytes
    inside += 1
    largestUsed = max(largestUsed, used)
    mostInside = max(mostInside, inside)
    condition.unlock()
    defer {
      condition.lock()
      used -= bytes
      inside -= 1
      condition.broadcast()
      condition.unlock()
    }
    return try work()
  }

  /// The most bytes and pieces of work that were inside at one time.
  package var peak: (bytes: Int, count: Int) {
    condition.lock()
    defer { condition.unlock() }
    return (largestUsed, mostInside)
  }
}
