import Foundation
import Synchronization

/// Lets work in, in the order of asking, as long as its estimated memory fits beside what is inside, or nothing is.
///
/// Estimates are about what a piece of work takes at its peak; together they keep a run within what the machine has,
/// so that no case is ever the one that the system kills the program for.
package final class MemoryGate: Sendable {
  /// Bytes that all work inside may take together.
  package let limit: Int
  /// Bytes that the machine has at all, or that the user allows; larger work is refused. `nil` refuses nothing.
  package let capacity: Int?

  private struct State {
    var used = 0
    var inside = 0
    var largestUsed = 0
    var mostInside = 0
    var nextTicket = 0
    var nowServing = 0
  }
  private let condition = NSCondition()
  private let state = Mutex(State())

  package init(limit: Int) {
    self.limit = limit
    capacity = AvailableMemory.bytes()
  }

  /// The limit that a run was given, else that of `nnUNet_memory_limit`, beyond which no work goes, else nine tenths of
  /// the memory available now.
  /// - Throws: ``PreprocessingError/badMemoryLimit(_:)``.
  package init(
    configured limit: Int?, environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws {
    let available = AvailableMemory.bytes()
    let configured = try limit == nil ? AvailableMemory.configuredBytes(environment: environment) : nil
    self.limit =
      limit ?? configured ?? available.map { $0 / 10 * 9 } ?? Int(ProcessInfo.processInfo.physicalMemory / 2)
    capacity = [available, configured].compactMap { $0 }.min()
  }

  /// Waits until the work fits, does it, and makes room again.
  /// - Throws: ``PreprocessingError/notEnoughMemory(needed:available:)`` if it never will fit; what `work` throws.
  package func run<Result>(bytes: Int, _ work: () throws -> Result) throws -> Result {
    if let capacity, bytes > capacity {
      throw PreprocessingError.notEnoughMemory(needed: bytes, available: capacity)
    }
    let reservation = enter(bytes)
    defer { reservation.end() }
    return try work()
  }

  /// Waits for room. Who needs more than the limit gets in when nobody is inside.
  package func enter(_ bytes: Int) -> MemoryReservation {
    condition.lock()
    defer { condition.unlock() }
    let ticket = state.withLock { state in
      state.nextTicket += 1
      return state.nextTicket - 1
    }
    while !tryEnter(ticket, bytes) { condition.wait() }
    condition.broadcast()
    return MemoryReservation(gate: self, bytes: bytes)
  }

  private func tryEnter(_ ticket: Int, _ bytes: Int) -> Bool {
    state.withLock { state in
      guard ticket == state.nowServing, state.inside == 0 || state.used + bytes <= limit else { return false }
      state.nowServing += 1
      state.used += bytes
      state.inside += 1
      state.largestUsed = max(state.largestUsed, state.used)
      state.mostInside = max(state.mostInside, state.inside)
      return true
    }
  }

  /// The most bytes and pieces of work that were inside at one time.
  package var peak: (bytes: Int, count: Int) { state.withLock { ($0.largestUsed, $0.mostInside) } }

  /// How many asked to come in so far.
  package var askedFor: Int { state.withLock { $0.nextTicket } }

  fileprivate func giveBack(_ bytes: Int, leaves: Bool) {
    condition.lock()
    state.withLock { state in
      state.used -= bytes
      if leaves { state.inside -= 1 }
    }
    condition.broadcast()
    condition.unlock()
  }
}

/// Bytes that a piece of work may hold, given back when it ends or is forgotten.
package final class MemoryReservation: Sendable {
  private let gate: MemoryGate
  /// `nil` once ended.
  private let bytes: Mutex<Int?>

  fileprivate init(gate: MemoryGate, bytes: Int) {
    self.gate = gate
    self.bytes = Mutex(bytes)
  }

  deinit { end() }

  /// Gives back what is more than `size`.
  package func shrink(to size: Int) {
    let surplus = bytes.withLock { bytes in
      guard let held = bytes, held > size else { return 0 }
      bytes = size
      return held - size
    }
    if surplus > 0 { gate.giveBack(surplus, leaves: false) }
  }

  /// Gives everything back. Safe to call more than once.
  package func end() {
    if let held = bytes.withLock({ $0.take() }) { gate.giveBack(held, leaves: true) }
  }
}
