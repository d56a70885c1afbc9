import Archives
import Datasets
import Foundation

/// Unpacks models that `nnUNetv2_export_model_to_zip`, nnU-Net's or ours, packed.
///
/// nnU-Net: `install_model_from_zip_file` of `nnunetv2/model_sharing/model_import.py`.
public enum ModelInstallation {
  /// Unpacks into a folder; files of the same names are replaced, each in one step.
  /// - Parameter results: `nnUNet_results`.
  /// - Returns: the files, relative to it.
  /// - Throws: before anything is written, if an entry would lie outside of the folder.
  public static func install(_ file: URL, into results: URL) throws -> [String] {
    let archive = try ZipArchive(path: file.path)
    let entries = archive.entries.filter { !$0.name.hasSuffix("/") }
    for entry in entries {
      let parts = entry.name.split(separator: "/", omittingEmptySubsequences: false)
      guard !parts.contains(where: { $0.isEmpty || $0 == "." || $0 == ".." || $0.contains("\\") || $0.contains("\0") })
      else {
        throw DatasetError(
          .invalidValue, file: file.path, problem: "the entry '\(entry.name)' does not lie in the folder of models",
          advice: "Don't trust this file; get it from its author again")
      }
    }
    guard entries.contains(where: { $0.name.hasSuffix("plans.json") }) else {
      throw DatasetError(
        .invalidValue, file: file.path, problem: "there is no plans.json in it",
        advice: "Give a file that nnUNetv2_export_model_to_zip wrote")
    }
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    for entry in entries {
      let target = results.appendingPathComponent(entry.name)
      try FileManager.default.createDirectory(
        at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
      let reader = try archive.reader(for: entry)
      try AtomicFile.write(to: target.path) { output in
        while reader.remaining > 0 {
          try buffer.withUnsafeMutableBytes { bytes in
            let count = try reader.read(into: bytes)
            try output.write(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
          }
        }
        try reader.finish()
      }
    }
    return entries.map(\.name)
  }
}
