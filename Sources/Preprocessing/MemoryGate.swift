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

  /// Bytes that a piece of work holds, and how many more while it is in the stage that only one can be in.
  fileprivate typealias Need = (own: Int, exclusive: Int)

  private struct State {
    /// By ticket.
    var inside: [Int: Need] = [:]
    var largestUsed = 0
    var mostInside = 0
    var nextTicket = 0
    var nowServing = 0

    var used: Int { inside.values.reduce(0) { $0 + $1.own } + (inside.values.map(\.exclusive).max() ?? 0) }
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
  package func enter(_ bytes: Int) -> MemoryReservation { enter(bytes, exclusive: 0) }

  /// Waits for room. Who needs more than the limit gets in when nobody is inside.
  /// - Parameter exclusive: bytes needed beside `bytes` in a stage that only one piece of work is in at a time. The
  ///   largest of all that are inside counts, once; who is inside never has to wait for them.
  package func enter(_ bytes: Int, exclusive: Int) -> MemoryReservation {
    condition.lock()
    defer { condition.unlock() }
    let ticket = state.withLock { state in
      state.nextTicket += 1
      return state.nextTicket - 1
    }
    while !tryEnter(ticket, (bytes, exclusive)) { condition.wait() }
    condition.broadcast()
    return MemoryReservation(gate: self, ticket: ticket)
  }

  private func tryEnter(_ ticket: Int, _ need: Need) -> Bool {
    state.withLock { state in
      guard ticket == state.nowServing else { return false }
      state.inside[ticket] = need
      guard state.inside.count == 1 || state.used <= limit else {
        state.inside[ticket] = nil
        return false
      }
      state.nowServing += 1
      state.largestUsed = max(state.largestUsed, state.used)
      state.mostInside = max(state.mostInside, state.inside.count)
      return true
    }
  }

  /// The most bytes and pieces of work that were inside at one time.
  package var peak: (bytes: Int, count: Int) { state.withLock { ($0.largestUsed, $0.mostInside) } }

  /// How many asked to come in so far.
  package var askedFor: Int { state.withLock { $0.nextTicket } }

  /// - Parameter need: what is still needed, never more in all than before; `nil` for a piece of work that leaves.
  fileprivate func change(_ ticket: Int, to need: Need?) {
    condition.lock()
    state.withLock { state in
      guard let held = state.inside[ticket] else { return }
      state.inside[ticket] = need.map { need in
        let own = min(need.own, held.own)
        return (own, min(need.exclusive, held.own + held.exclusive - own))
      }
    }
    condition.broadcast()
    condition.unlock()
  }
}

/// Bytes that a piece of work may hold, given back when it ends or is forgotten.
package final class MemoryReservation: Sendable {
  private let gate: MemoryGate
  private let ticket: Int

  fileprivate init(gate: MemoryGate, ticket: Int) {
    self.gate = gate
    self.ticket = ticket
  }

  deinit { end() }

  /// Gives back what is more than `bytes` for itself and `exclusive` for the stage that only one is in; what was for
  /// itself may become exclusive.
  package func shrink(to bytes: Int, exclusive: Int) { gate.change(ticket, to: (bytes, exclusive)) }

  /// Gives everything back. Safe to call more than once.
  package func end() { gate.change(ticket, to: nil) }
}
