import Datasets
import Foundation
import Volumes

/// Collects the validation predictions of a model's folds in one folder, and evaluates them together.
///
/// nnU-Net: `accumulate_cv_results` of `nnunetv2/evaluation/accumulate_cv_results.py`.
public struct CrossValidationResults: Sendable {
  /// `nnUNet_results/DATASET/TRAINER__PLANS__CONFIGURATION`.
  public var modelFolder: URL
  public var folds: [FoldSelection]
  public var outputFolder: URL
  /// Whether the output folder is made anew; otherwise predictions in it stay, and are evaluated only if one is added.
  public var overwrites = true

  /// - Parameter outputFolder: `nil` for `crossval_results_folds_X_Y` in the model's folder.
  public init(modelFolder: URL, folds: [FoldSelection], outputFolder: URL? = nil) {
    self.modelFolder = modelFolder
    self.folds = folds
    self.outputFolder =
      outputFolder
      ?? modelFolder.appendingPathComponent(DatasetFolders.crossValidationFolderName(folds), isDirectory: true)
  }

  /// `fold_X/validation`.
  /// - Throws: ``EvaluationError/foldMissing(folder:)``.
  static func validationFolder(_ modelFolder: URL, _ fold: FoldSelection) throws -> URL {
    let folder = modelFolder.appendingPathComponent(DatasetFolders.foldFolderName(fold), isDirectory: true)
      .appendingPathComponent("validation", isDirectory: true)
    guard FileManager.default.fileExists(atPath: folder.path) else {
      throw EvaluationError.foldMissing(folder: folder.path)
    }
    return folder
  }

  /// Copies and evaluates; writes `dataset.json`, `plans.json` and `summary.json` beside the predictions.
  ///
  /// The references are those of the raw data set, or where there are none of the preprocessed one.
  /// - Throws: ``EvaluationError`` before anything is changed, if a fold is missing or a case is in two of them, and
  ///   if a case can't be compared.
  public func run(
    folders: DatasetFolders, threads: Int?, caseDone: @Sendable (Int, Int) -> Void
  ) throws -> EvaluationSummary {
    let descriptionFile = modelFolder.appendingPathComponent("dataset.json")
    let plansFile = modelFolder.appendingPathComponent("plans.json")
    let description = try DatasetDescription(contentsOf: descriptionFile)
    let plans = try Plans(contentsOf: plansFile)
    var predictions: [String: URL] = [:]
    for fold in folds {
      let folder = try Self.validationFolder(modelFolder, fold)
      for name in try fileNames(in: folder, ending: description.fileEnding) {
        let file = folder.appendingPathComponent(name)
        if let other = predictions.updateValue(file, forKey: name) {
          throw EvaluationError.caseInTwoFolds(file: file.path, other: other.path)
        }
      }
    }
    let files = FileManager.default
    if overwrites && files.fileExists(atPath: outputFolder.path) {
      do {
        try files.removeItem(at: outputFolder)
      } catch {
        throw EvaluationError.cannotChange(path: outputFolder.path, problem: "the old results can't be removed")
      }
    }
    try FileManager.default.makeFolder(outputFolder)
    try FileCopy.copy(descriptionFile, to: outputFolder.appendingPathComponent("dataset.json"))
    try FileCopy.copy(plansFile, to: outputFolder.appendingPathComponent("plans.json"))
    let summaryFile = outputFolder.appendingPathComponent("summary.json")
    var isComplete = files.fileExists(atPath: summaryFile.path)
    for (name, file) in predictions {
      let copy = outputFolder.appendingPathComponent(name)
      guard !files.fileExists(atPath: copy.path) else { continue }
      try FileCopy.copy(file, to: copy)
      isComplete = false
    }
    if isComplete { return try EvaluationSummary(contentsOf: summaryFile) }
    return try Self.evaluate(
      outputFolder, description: description, plans: plans, folders: folders, prefersRaw: true, threads: threads,
      caseDone: caseDone)
  }

  /// Compares predictions of a whole training set with its references, and writes `summary.json` beside them.
  static func evaluate(
    _ folder: URL, description: DatasetDescription, plans: Plans, folders: DatasetFolders, prefersRaw: Bool,
    threads: Int?, caseDone: @Sendable (Int, Int) -> Void
  ) throws -> EvaluationSummary {
    var evaluation = try FolderEvaluation(
      datasetDescription: description,
      referenceFolder: referenceFolder(plans.datasetName, folders, prefersRaw: prefersRaw), predictionFolder: folder,
      allowsMissingPredictions: true)
    evaluation.readerWriter = try ReaderWriters.named(plans.imageReaderWriter)
    let result = try evaluation.run(threads: threads, caseDone: caseDone)
    guard result.failures.isEmpty else { throw EvaluationError.someCasesFailed(result.failures) }
    try result.summary.write(to: folder.appendingPathComponent("summary.json"))
    return result.summary
  }

  /// `labelsTr` or `gt_segmentations`.
  static func referenceFolder(_ dataset: String, _ folders: DatasetFolders, prefersRaw: Bool) throws -> URL {
    if prefersRaw, folders.raw != nil {
      let raw = try folders.rawFolder(dataset).appendingPathComponent("labelsTr", isDirectory: true)
      if FileManager.default.fileExists(atPath: raw.path) { return raw }
    }
    return try folders.preprocessedFolder(dataset).appendingPathComponent("gt_segmentations", isDirectory: true)
  }
}
