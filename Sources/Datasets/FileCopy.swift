import Foundation

/// Copies files so that a copy appears whole or not at all.
package enum FileCopy {
  /// Copies a file; an older one of the target's name is replaced in one step. The target's folder is made if missing.
  /// - Throws: ``DatasetError`` that names both files.
  package static func copy(_ source: URL, to target: URL) throws {
    let folder = target.deletingLastPathComponent()
    let temporary = folder.appendingPathComponent(".\(target.lastPathComponent).\(UUID().uuidString).tmp")
    func failure(_ reason: String) -> DatasetError {
      try? FileManager.default.removeItem(at: temporary)
      return DatasetError(
        .inaccessible, file: target.path, problem: "can't be copied from \(source.path) (\(reason))",
        advice: "Check permissions and free space")
    }
    do {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      // Links are followed: a copy stays what it is when the source moves.
      try FileManager.default.copyItem(at: source.resolvingSymlinksInPath(), to: temporary)
      let handle = try FileHandle(forReadingFrom: temporary)
      try handle.synchronize()
      try handle.close()
    } catch {
      throw failure(error.localizedDescription)
    }
    guard rename(temporary.path, target.path) == 0 else { throw failure(String(cString: strerror(errno))) }
  }

  /// Copies a file unless the target is there and not older.
  package static func copyIfNewer(_ source: URL, to target: URL) throws {
    if let present = modificationDate(target), let date = modificationDate(source), present >= date { return }
    try copy(source, to: target)
  }

  /// When a file was last changed; `nil` if there is none.
  package static func modificationDate(_ file: URL) -> Date? {
    let attributes = try? FileManager.default.attributesOfItem(atPath: file.resolvingSymlinksInPath().path)
    return attributes?[.modificationDate] as? Date
  }
}
