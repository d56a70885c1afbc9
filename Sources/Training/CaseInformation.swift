import Augmentation
import Preprocessing
import Synchronization

/// What drawing a patch needs to know of a case, kept so that it is read once as long as there is room.
final class CaseInformation: Sendable {
  struct Entry: Sendable {
    /// Z, Y, X of the preprocessed case.
    let shape: [Int]
    let locations: ForegroundLocations
  }

  private struct State: Sendable {
    var entries: [String: Entry] = [:]
    var bytes = 0
  }

  private let store: CaseStore
  private let state = Mutex(State())
  /// Beyond this the rest is read again each time.
  private let byteLimit: Int

  init(store: CaseStore, byteLimit: Int) {
    self.store = store
    self.byteLimit = byteLimit
  }

  func entry(_ identifier: String) throws -> Entry {
    if let known = state.withLock({ $0.entries[identifier] }) { return known }
    let classes = try store.classLocations(of: identifier).entries
    let locations = ForegroundLocations(
      entries: classes.map { .init(labels: $0.labels, count: $0.count, isAnnotation: $0.labels.first == -1) }
    ) { entry, index in
      (0..<3).map { Int(classes[entry].voxels[index * 3 + $0]) }
    }
    let entry = Entry(shape: Array(try store.shape(of: identifier)[1...]), locations: locations)
    let bytes = classes.reduce(0) { $0 + $1.voxels.count * MemoryLayout<Int32>.stride }
    state.withLock { state in
      guard state.bytes + bytes <= byteLimit else { return }
      state.entries[identifier] = entry
      state.bytes += bytes
    }
    return entry
  }
}
