import Archives
import Datasets
import Foundation
import TensorCore

/// Packs trained models of a data set into a zip file that nnU-Net's and our `nnUNetv2_install_pretrained_model_from_zip`
/// unpack.
///
/// nnU-Net: `export_pretrained_model` of `nnunetv2/model_sharing/model_export.py`.
public struct ModelExport: Sendable {
  public var dataset: String
  public var models: [ModelIdentifier]
  public var folds: [FoldSelection]
  /// Names such as `checkpoint_final.pth`; where there is no such file, the same name with the other ending is taken.
  public var checkpoints: [String]
  /// Whether models and folds that are not there are left out instead of being an error.
  public var allowsMissing: Bool
  /// Whether the predictions of the cross-validation go along.
  public var includesPredictions: Bool

  public init(
    dataset: String, models: [ModelIdentifier], folds: [FoldSelection], checkpoints: [String], allowsMissing: Bool,
    includesPredictions: Bool
  ) {
    self.dataset = dataset
    self.models = models
    self.folds = folds
    self.checkpoints = checkpoints
    self.allowsMissing = allowsMissing
    self.includesPredictions = includesPredictions
  }

  /// Writes the zip file, whole or not at all.
  /// - Returns: the files in it, relative to `nnUNet_results`.
  /// - Throws: `DatasetError` that names what is missing.
  public func write(to file: URL, folders: DatasetFolders) throws -> [String] {
    let results = try folders.requireResults()
    let names = try files(folders).map { try name($0, in: results) }
    guard !names.isEmpty else {
      throw DatasetError(
        .notFound, file: try folders.resultsFolder(dataset).path, problem: "none of the models is there",
        advice: "Train one, or name others with -c, -tr and -p")
    }
    try ZipWriter.create(atomicallyAt: file.path) { zip in
      for name in names {
        try zip.beginEntry(name)
        let source = try FileHandle(forReadingFrom: results.appendingPathComponent(name))
        defer { try? source.close() }
        while let piece = try source.read(upToCount: 32 << 20), !piece.isEmpty {
          try piece.withUnsafeBytes { try zip.write($0, using: { WorkerPool.shared.run(tasks: $0, $1) }) }
        }
      }
    }
    return names
  }

  private func name(_ file: URL, in folder: URL) throws -> String {
    let (path, prefix) = (file.standardizedFileURL.path, folder.standardizedFileURL.path + "/")
    guard path.hasPrefix(prefix) else {
      throw DatasetError(
        .invalidValue, file: path, problem: "it lies outside of nnUNet_results", advice: "Move it there")
    }
    return String(path.dropFirst(prefix.count))
  }

  private func files(_ folders: DatasetFolders) throws -> [URL] {
    var files: [URL] = []
    for model in models {
      let folder = try folders.modelFolder(dataset, model)
      guard exists(folder) else {
        if allowsMissing { continue }
        throw missing(folder, "train this model, leave its configuration out with -c, or give --not_strict")
      }
      for name in ["plans.json", "dataset.json"] where !exists(folder.appendingPathComponent(name)) {
        throw missing(folder.appendingPathComponent(name), "train this model again")
      }
      files += ["plans.json", "dataset_fingerprint.json", "dataset.json"].map(folder.appendingPathComponent)
      for fold in folds { files += try self.files(ofFold: folder.appendingPathComponent("fold_\(fold)")) }
      files += summaries(folder.appendingPathComponent(DatasetFolders.crossValidationFolderName(folds)))
    }
    guard !files.isEmpty else { return [] }
    let ensembles = try folders.ensemblesFolder(dataset)
    let own = Set(models.map(\.description))
    for name in content(ensembles, folders: true) {
      let parts = name.components(separatedBy: "___")
      guard parts.count > 3, parts[0] == "ensemble", own.isSuperset(of: parts[1..<parts.count - 1]) else { continue }
      files += summaries(ensembles.appendingPathComponent(name))
    }
    files += ["inference_information.json", "inference_instructions.txt"].map {
      ensembles.deletingLastPathComponent().appendingPathComponent($0)
    }
    return files.filter(exists)
  }

  private func files(ofFold folder: URL) throws -> [URL] {
    guard exists(folder) else {
      if allowsMissing { return [] }
      throw missing(folder, "train this fold, name others with -f, or give --not_strict")
    }
    let validation = folder.appendingPathComponent("validation")
    let predictions = content(validation).filter { !$0.hasSuffix(".npz") && !$0.hasSuffix(".pkl") }
    return try checkpoints.map { try ModelFolder.checkpointFile($0, in: folder) }
      + ["debug.json", "progress.png", "network_architecture.pdf"].map(folder.appendingPathComponent)
      + (includesPredictions ? predictions : ["summary.json"]).map(validation.appendingPathComponent)
  }

  /// What a folder of merged predictions says, and with `includesPredictions` all of it.
  private func summaries(_ folder: URL) -> [URL] {
    (includesPredictions ? content(folder) : ["summary.json", "postprocessing.pkl", "postprocessing.json"])
      .map(folder.appendingPathComponent)
  }

  private func exists(_ file: URL) -> Bool { FileManager.default.fileExists(atPath: file.path) }

  /// The names of the files or of the folders in a folder.
  private func content(_ folder: URL, folders: Bool = false) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).filter { name in
      var isFolder: ObjCBool = false
      let exists = FileManager.default.fileExists(
        atPath: folder.appendingPathComponent(name).path, isDirectory: &isFolder)
      return exists && isFolder.boolValue == folders && !name.hasPrefix(".")
    }.sorted()
  }

  private func missing(_ file: URL, _ advice: String) -> DatasetError {
    DatasetError(
      .notFound, file: file.path, problem: "it is missing", advice: advice.prefix(1).uppercased() + advice.dropFirst())
  }
}
