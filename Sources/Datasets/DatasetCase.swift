import Foundation

/// A case: the files of its channels in order, and its segmentation where there is one.
public struct DatasetCase: Sendable, Hashable {
  public let identifier: String
  public let images: [URL]
  public let label: URL?

  public init(identifier: String, images: [URL], label: URL?) {
    self.identifier = identifier
    self.images = images
    self.label = label
  }

  /// `CASE_0000.ending`, the file of a channel.
  public static func imageFileName(_ identifier: String, channel: Int, fileEnding: String) -> String {
    let digits = String(channel)
    return identifier + "_" + String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits + fileEnding
  }

  /// The case and channel of a file name `CASE_0000.ending`, `nil` if the name isn't of this form.
  public static func parseImageFileName(_ name: String, fileEnding: String) -> (identifier: String, channel: Int)? {
    guard name.utf8.count > fileEnding.utf8.count + 5, name.hasSuffix(fileEnding) else { return nil }
    let stem = name.dropLast(fileEnding.count)
    let digits = stem.suffix(4)
    guard digits.utf8.count == 4, digits.allSatisfy({ $0.isASCII && $0.isNumber }), let channel = Int(digits),
      stem.dropLast(4).last == "_"
    else { return nil }
    return (String(stem.dropLast(5)), channel)
  }
}

extension DatasetCase {
  /// The cases in a folder of `CASE_0000.ending` files, by identifier in code point order.
  ///
  /// Files that end otherwise, or whose name has no channel number, are no cases
  /// (see ``unrecognizedFiles(in:fileEnding:)``).
  public static func list(in folder: URL, fileEnding: String) throws -> [DatasetCase] {
    var files: [String: [(channel: Int, name: String)]] = [:]
    for name in try fileNames(in: folder) {
      guard let (identifier, channel) = parseImageFileName(name, fileEnding: fileEnding) else { continue }
      files[identifier, default: []].append((channel, name))
    }
    return files.keys.sorted(by: precedesByCodePoint).map { identifier in
      let images = (files[identifier] ?? []).sorted { $0.channel < $1.channel }
      return DatasetCase(
        identifier: identifier, images: images.map { folder.appendingPathComponent($0.name) }, label: nil)
    }
  }

  /// Names in a folder that have the data set's ending, but aren't `CASE_0000.ending`.
  public static func unrecognizedFiles(in folder: URL, fileEnding: String) throws -> [String] {
    try fileNames(in: folder).filter {
      $0.hasSuffix(fileEnding) && parseImageFileName($0, fileEnding: fileEnding) == nil
    }
  }

  /// The names of the files (not folders) in a folder, in code point order.
  package static func fileNames(in folder: URL) throws -> [String] {
    let names: [String]
    do {
      names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
    } catch {
      var isFolder: ObjCBool = false
      let exists = FileManager.default.fileExists(atPath: folder.path, isDirectory: &isFolder)
      throw DatasetError(
        exists ? .inaccessible : .notFound, file: folder.path,
        problem: !exists
          ? "there is no such folder"
          : isFolder.boolValue ? "the folder can't be listed (\(error.localizedDescription))" : "this is not a folder",
        advice: "Check the path")
    }
    return names.filter {
      var isFolder: ObjCBool = false
      return FileManager.default.fileExists(
        atPath: folder.appendingPathComponent($0).path, isDirectory: &isFolder) && !isFolder.boolValue
    }.sorted(by: precedesByCodePoint)
  }
}
