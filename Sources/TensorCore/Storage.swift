#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif
import Synchronization

/// Host memory of one tensor, taken from the pool and given back when the last tensor lets go.
///
/// The only place that knows where bytes live; a second device would be a second kind of storage.
package final class Storage: @unchecked Sendable {
  package let byteCount: Int
  private let memory: Memory
  private let forms = Mutex<PackedForms?>(nil)

  private enum Memory {
    case block(StoragePool.Block)
    case placeholder(any PlaceholderObserver)
  }

  package init(byteCount: Int) {
    memory = .block(StoragePool.shared.take(byteCount: byteCount))
    self.byteCount = byteCount
  }

  /// Stands for memory that a value would have: it costs nothing until somebody reads it, which `observer` is told.
  package init(placeholderOf byteCount: Int, observer: any PlaceholderObserver) {
    memory = .placeholder(observer)
    self.byteCount = byteCount
  }

  package var pointer: UnsafeMutableRawPointer {
    switch memory {
    case .block(let block): block.pointer
    case .placeholder(let observer): observer.memoryOfPlaceholder(self).pointer
    }
  }

  /// Tells whoever traces this value, if it is traced, that its elements are read.
  package func noteRead(_ place: @autoclosure () -> String) {
    if case .placeholder(let observer) = memory { observer.placeholderWasRead(self, at: place()) }
  }

  /// What convolutions keep of this weight; a storage that has it is not written any more.
  var packedForms: PackedForms? { forms.withLock { $0 } }

  func keepPackedForms(_ budget: PackedForms.Budget) {
    forms.withLock { if $0 == nil { $0 = PackedForms(budget: budget) } }
  }

  deinit {
    if case .block(let block) = memory { StoragePool.shared.give(block) }
  }
}

/// Learns of reads of values that have no memory because they are only being traced.
package protocol PlaceholderObserver: AnyObject, Sendable {
  func placeholderWasRead(_ storage: Storage, at place: String)
  /// Real memory to go on with, of the placeholder's size: the read itself cannot fail.
  func memoryOfPlaceholder(_ storage: Storage) -> Storage
}

/// Keeps freed blocks by size class, so that a repeated computation allocates nothing and touches no new page.
///
/// Idle blocks of sizes that are no longer asked for go back to the system: when a new block is needed, blocks in use
/// and idle ones together stay within twice the most that was ever in use.
package final class StoragePool: Sendable {
  package static let shared = StoragePool()

  package struct Block: @unchecked Sendable {
    let pointer: UnsafeMutableRawPointer
    let capacity: Int
  }

  package struct Statistics: Sendable, Equatable {
    /// Blocks obtained from the system since the start.
    package var systemAllocations = 0
    /// Bytes in tensors now.
    package var bytesInUse = 0
    /// The most bytes ever in tensors at once since the last `resetPeak`.
    package var peakBytesInUse = 0
    /// Bytes kept for reuse.
    package var bytesIdle = 0
  }

  private struct State: Sendable {
    var idle: [Int: [Block]] = [:]
    var statistics = Statistics()
    /// The most bytes ever in use at once.
    var mostInUse = 0

    /// Takes idle blocks out, the largest first, until all blocks are within the bound.
    mutating func dropIdleBlocks() -> [Block] {
      var dropped: [Block] = []
      let bound = max(2 * mostInUse, StoragePool.freeBound)
      for capacity in idle.keys.sorted(by: >) {
        while statistics.bytesInUse + statistics.bytesIdle > bound, let block = idle[capacity]?.popLast() {
          statistics.bytesIdle -= capacity
          dropped.append(block)
        }
      }
      return dropped
    }
  }

  private let state = Mutex(State())
  /// Every block starts on a cache line and a vector register boundary.
  private static let alignment = 64
  private static let hugePage = 2 << 20
  /// Below this many bytes nothing is given back.
  fileprivate static let freeBound = 64 << 20

  package var statistics: Statistics { state.withLock { $0.statistics } }

  package func resetPeak() {
    state.withLock { $0.statistics.peakBytesInUse = $0.statistics.bytesInUse }
  }

  /// Gives every idle block back to the system.
  package func trim() {
    let blocks = state.withLock { state in
      defer {
        state.idle = [:]
        state.statistics.bytesIdle = 0
      }
      return state.idle.values.flatMap { $0 }
    }
    for block in blocks { free(block.pointer) }
  }

  func take(byteCount: Int) -> Block {
    let capacity = Self.capacity(for: byteCount)
    var dropped: [Block] = []
    let reused: Block? = state.withLock { state in
      state.statistics.bytesInUse += capacity
      state.statistics.peakBytesInUse = max(state.statistics.peakBytesInUse, state.statistics.bytesInUse)
      state.mostInUse = max(state.mostInUse, state.statistics.bytesInUse)
      guard let block = state.idle[capacity]?.popLast() else {
        state.statistics.systemAllocations += 1
        dropped = state.dropIdleBlocks()
        return nil
      }
      state.statistics.bytesIdle -= capacity
      return block
    }
    if let reused { return reused }
    for block in dropped { free(block.pointer) }
    var pointer: UnsafeMutableRawPointer?
    let alignment = capacity >= Self.hugePage ? Self.hugePage : Self.alignment
    let status = posix_memalign(&pointer, alignment, capacity)
    guard status == 0, let pointer else {
      checkFailed("Storage: the system has no \(capacity) bytes for a tensor", file: #fileID, line: #line)
    }
    #if os(Linux)
      // Fewer and larger pages: activations are walked end to end.
      if capacity >= Self.hugePage { madvise(pointer, capacity, MADV_HUGEPAGE) }
    #endif
    return Block(pointer: pointer, capacity: capacity)
  }

  func give(_ block: Block) {
    state.withLock { state in
      state.idle[block.capacity, default: []].append(block)
      state.statistics.bytesInUse -= block.capacity
      state.statistics.bytesIdle += block.capacity
    }
  }

  /// Rounds up to one of eight steps per doubling: at most an eighth is wasted, and near sizes share blocks.
  package static func capacity(for byteCount: Int) -> Int {
    let least = max(byteCount, alignment)
    let step = max(alignment, (1 << (Int.bitWidth - 1 - least.leadingZeroBitCount)) / 8)
    return (least + step - 1) / step * step
  }
}
