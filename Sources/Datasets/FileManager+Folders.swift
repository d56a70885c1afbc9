import Foundation

extension FileManager {
  /// Makes a folder and all above it; one that exists stays as it is.
  /// - Throws: ``DatasetError`` with the system's reason.
  package func makeFolder(_ folder: URL) throws {
    do {
      try createDirectory(at: folder, withIntermediateDirectories: true)
    } catch {
      var isFolder: ObjCBool = false
      let isFile = fileExists(atPath: folder.path, isDirectory: &isFolder) && !isFolder.boolValue
      throw DatasetError(
        .inaccessible, file: folder.path,
        problem: isFile
          ? "there is a file where the folder should be" : "the folder can't be made (\(error.localizedDescription))",
        advice: "Give another folder, or check permissions and free space")
    }
  }
}
