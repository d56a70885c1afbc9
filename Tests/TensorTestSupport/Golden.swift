import Foundation

/// Finds the golden reference data: a folder `shared/golden` beside the checkout or beside one of its ancestors.
package enum Golden {
  /// `shared/<path>`, or `nil` (and a printed note that the caller skips) where there is no such folder.
  package static func shared(_ path: String, file: String = #filePath) -> URL? {
    var folder = URL(fileURLWithPath: file).deletingLastPathComponent()
    while folder.path != "/" {
      let candidate = folder.appendingPathComponent("shared").appendingPathComponent(path)
      if FileManager.default.fileExists(atPath: candidate.path) { return candidate }
      folder.deleteLastPathComponent()
    }
    print("SKIPPED: no shared/\(path) beside this checkout, so the tests that need it did not run")
    return nil
  }

  /// `shared/golden/<path>`, or `nil` with a printed note.
  package static func folder(_ path: String, file: String = #filePath) -> URL? {
    shared("golden/" + path, file: file)
  }
}
