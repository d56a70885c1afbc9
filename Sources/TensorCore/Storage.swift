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
