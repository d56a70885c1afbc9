#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif
import Synchronization

/// Keeps freed blocks, so that a repeated computation allocates nothing and touches no new page.
///
/// Small blocks are kept by size class. Large ones are parts of one range of addresses and join when they are freed, so
/// that memory serves tensors of any size: what the process holds is near the most that was ever in use at once.
package final class StoragePool: Sendable {
  package static let shared = StoragePool()

  package struct Block: @unchecked Sendable {
    let pointer: UnsafeMutableRawPointer
    let capacity: Int
    /// Where it lies in the range of large blocks; `nil` for a block of its own.
    fileprivate let offset: Int?
  }

  package struct Statistics: Sendable, Equatable {
    /// How often memory was obtained from the system since the start.
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
    var large = LargeBlockRange()
    var statistics = Statistics()
    /// The most bytes ever in use at once.
    var mostInUse = 0
  }

  private let state = Mutex(State())
  /// Where the range of large blocks starts; `nil` where the system grants none, and every block is its own.
  private let largeAddress = LargeBlockRange.reserveAddresses().map { UInt(bitPattern: $0) }
  /// Every block starts on a cache line and a vector register boundary.
  private static let alignment = 64
  /// Blocks from this size on share one range of addresses.
  private static let large = 256 << 10
  /// Below this many bytes nothing is given back.
  private static let freeBound = 64 << 20

  package var statistics: Statistics {
    state.withLock { state in
      var statistics = state.statistics
      statistics.bytesIdle += state.large.bytesIdle
      return statistics
    }
  }

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
      releaseLargeBlocks(&state)
      return state.idle.values.flatMap { $0 }
    }
    for block in blocks { free(block.pointer) }
  }

  private var largeBase: UnsafeMutableRawPointer? { largeAddress.flatMap { UnsafeMutableRawPointer(bitPattern: $0) } }

  private func releaseLargeBlocks(_ state: inout State) {
    guard let largeBase else { return }
    for range in state.large.releaseIdle() { madvise(largeBase + range.lowerBound, range.count, MADV_DONTNEED) }
  }

  func take(byteCount: Int) -> Block {
    let capacity = Self.capacity(for: byteCount)
    let found: Block? = state.withLock { state in
      state.statistics.bytesInUse += capacity
      state.statistics.peakBytesInUse = max(state.statistics.peakBytesInUse, state.statistics.bytesInUse)
      state.mostInUse = max(state.mostInUse, state.statistics.bytesInUse)
      if capacity >= Self.large, let largeBase {
        guard let (offset, isNew) = state.large.take(capacity) else { return nil }
        if isNew {
          state.statistics.systemAllocations += 1
          // Gaps that nothing fits into any more are not worth their pages.
          let bound = max(2 * state.mostInUse, Self.freeBound)
          if state.statistics.bytesInUse + state.large.bytesIdle > bound { releaseLargeBlocks(&state) }
        }
        return Block(pointer: largeBase + offset, capacity: capacity, offset: offset)
      }
      guard let block = state.idle[capacity]?.popLast() else { return nil }
      state.statistics.bytesIdle -= capacity
      return block
    }
    if let found { return found }
    state.withLock { $0.statistics.systemAllocations += 1 }
    var pointer: UnsafeMutableRawPointer?
    let status = posix_memalign(&pointer, Self.alignment, capacity)
    guard status == 0, let pointer else {
      checkFailed("Storage: the system has no \(capacity) bytes for a tensor", file: #fileID, line: #line)
    }
    return Block(pointer: pointer, capacity: capacity, offset: nil)
  }

  func give(_ block: Block) {
    let isKept = state.withLock { state in
      state.statistics.bytesInUse -= block.capacity
      if let offset = block.offset {
        state.large.give(offset, block.capacity)
        return true
      }
      guard block.capacity < Self.large else { return false }
      state.idle[block.capacity, default: []].append(block)
      state.statistics.bytesIdle += block.capacity
      return true
    }
    if !isKept { free(block.pointer) }
  }

  /// Small blocks in eight steps per doubling, so that near sizes share them; large ones in whole pages.
  package static func capacity(for byteCount: Int) -> Int {
    let least = max(byteCount, alignment)
    let step = least >= large ? 4096 : max(alignment, (1 << (Int.bitWidth - 1 - least.leadingZeroBitCount)) / 8)
    return (least + step - 1) / step * step
  }
}

/// Which parts of a reserved range of addresses are free: best fit, neighbours join.
struct LargeBlockRange: Sendable {
  private struct Gap {
    var offset: Int
    var size: Int
    /// Bytes of it that have pages.
    var resident: Int
    var end: Int { offset + size }
  }

  private static let reservedBytes = 1 << 40
  /// In the order of offsets, none next to another.
  private var gaps: [Gap] = []
  /// Everything from here on was never used.
  private var top = 0

  var bytesIdle: Int { gaps.reduce(0) { $0 + $1.resident } }

  /// Addresses without memory behind them until they are written; `nil` where the system grants none.
  static func reserveAddresses() -> UnsafeMutableRawPointer? {
    #if os(Linux)
      let flags = MAP_PRIVATE | MAP_ANONYMOUS | Int32(MAP_NORESERVE)
      guard let base = mmap(nil, reservedBytes, PROT_READ | PROT_WRITE, flags, -1, 0), base != MAP_FAILED else {
        return nil
      }
      // Fewer and larger pages: activations are walked end to end.
      madvise(base, reservedBytes, MADV_HUGEPAGE)
      return base
    #else
      return nil
    #endif
  }

  /// The offset of `size` bytes, and whether they (or a part) are new; `nil` if the addresses are used up.
  mutating func take(_ size: Int) -> (offset: Int, isNew: Bool)? {
    if let index = gaps.indices.filter({ gaps[$0].size >= size }).min(by: { gaps[$0].size < gaps[$1].size }) {
      let offset = gaps[index].offset
      let isNew = gaps[index].resident < size
      gaps[index].resident = max(0, gaps[index].resident - size)
      gaps[index].offset += size
      gaps[index].size -= size
      if gaps[index].size == 0 { gaps.remove(at: index) }
      return (offset, isNew)
    }
    var offset = top
    if let last = gaps.last, last.end == top { offset = last.offset }
    guard offset + size <= Self.reservedBytes else { return nil }
    if offset < top { gaps.removeLast() }
    top = offset + size
    return (offset, true)
  }

  mutating func give(_ offset: Int, _ size: Int) {
    let next = gaps.firstIndex { $0.offset > offset } ?? gaps.count
    gaps.insert(Gap(offset: offset, size: size, resident: size), at: next)
    if next + 1 < gaps.count, gaps[next].end == gaps[next + 1].offset { joinGap(next) }
    if next > 0, gaps[next - 1].end == gaps[next].offset { joinGap(next - 1) }
  }

  private mutating func joinGap(_ index: Int) {
    gaps[index].size += gaps[index + 1].size
    gaps[index].resident += gaps[index + 1].resident
    gaps.remove(at: index + 1)
  }

  /// The gaps that have pages, which the caller gives back.
  mutating func releaseIdle() -> [Range<Int>] {
    defer { for index in gaps.indices { gaps[index].resident = 0 } }
    return gaps.filter { $0.resident > 0 }.map { $0.offset..<$0.end }
  }
}
