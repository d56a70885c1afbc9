import Synchronization

/// Hands out pieces of one stretch of memory to the threads of one operation.
///
/// The memory belongs to somebody else, who keeps it while pieces are in use. Where no piece is free the caller takes
/// memory from the pool.
package final class ScratchMemory: @unchecked Sendable {
  private struct Piece {
    var offset: Int
    var byteCount: Int
  }

  private let base: UnsafeMutableRawPointer
  private let byteCount: Int
  /// In the order of their offsets.
  private let pieces = Mutex<[Piece]>([])

  package init(_ base: UnsafeMutableRawPointer, byteCount: Int) {
    self.base = base
    self.byteCount = byteCount
  }

  /// What a piece takes: whole cache lines.
  package static func size(of byteCount: Int) -> Int { (max(byteCount, 1) + 63) / 64 * 64 }

  /// The first gap that is large enough.
  func take(_ byteCount: Int) -> UnsafeMutableRawPointer? {
    let size = Self.size(of: byteCount)
    return pieces.withLock { pieces -> Int? in
      var end = 0
      for (index, piece) in pieces.enumerated() {
        if piece.offset - end >= size {
          pieces.insert(Piece(offset: end, byteCount: size), at: index)
          return end
        }
        end = piece.offset + piece.byteCount
      }
      guard end + size <= self.byteCount else { return nil }
      pieces.append(Piece(offset: end, byteCount: size))
      return end
    }.map { base + $0 }
  }

  func give(_ pointer: UnsafeMutableRawPointer) {
    pieces.withLock { pieces in
      if let index = pieces.firstIndex(where: { base + $0.offset == pointer }) { pieces.remove(at: index) }
    }
  }
}
