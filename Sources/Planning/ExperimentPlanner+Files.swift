import Datasets
import Foundation
import Volumes

extension ExperimentPlanner {
  /// Plans a raw data set whose fingerprint is in the preprocessed folder, and writes the plans beside it.
  ///
  /// Copies `dataset.json` and, if the raw data set has one, `splits_final.json` too. Configurations of an existing
  /// plans file that this planner doesn't make are kept.
  public func planExperiment(datasetName: String, folders: DatasetFolders) throws -> PlannedExperiment {
    let raw = try folders.rawFolder(datasetName)
    let preprocessed = try folders.preprocessedFolder(datasetName)
    let descriptionFile = raw.appendingPathComponent("dataset.json")
    let description = try DatasetDescription(contentsOf: descriptionFile)
    let fingerprint = try DatasetFingerprint(
      contentsOf: preprocessed.appendingPathComponent("dataset_fingerprint.json"))
    let splits = raw.appendingPathComponent("splits_final.json")
    if FileManager.default.fileExists(atPath: splits.path) {
      try Self.copySplits(from: splits, to: preprocessed.appendingPathComponent("splits_final.json"))
    }
    let reader = try ReaderWriters.choose(for: description, rawFolder: raw)
    let planned = try plan(
      datasetName: datasetName, description: description, fingerprint: fingerprint, readerWriterName: reader.name)
    try FileCopy.copy(descriptionFile, to: preprocessed.appendingPathComponent("dataset.json"))
    let json = try Self.write(planned.json, to: preprocessed.appendingPathComponent(plansName + ".json"))
    return PlannedExperiment(json: json, plansName: planned.plansName, remarks: description.remarks + planned.remarks)
  }

  /// Writes plans, keeping the configurations of an existing file that the new plans don't have.
  ///
  /// nnU-Net: `save_plans`.
  /// - Returns: what was written.
  package static func write(_ plans: JSONValue.Object, to file: URL) throws -> JSONValue.Object {
    var plans = plans
    if FileManager.default.fileExists(atPath: file.path) {
      var configurations = plans["configurations"]?.object ?? [:]
      for (name, old) in try JSONField(contentsOf: file).field("configurations").object()
      where configurations[name] == nil {
        configurations[name] = old
      }
      plans["configurations"] = .object(configurations)
    }
    try JSONValue.object(plans).write(to: file)
    return plans
  }

  /// Copies the raw data set's splits, or checks that those there already agree.
  static func copySplits(from source: URL, to target: URL) throws {
    guard FileManager.default.fileExists(atPath: target.path) else { return try FileCopy.copy(source, to: target) }
    let wanted = try CrossValidationSplits(contentsOf: source).folds
    let present = try CrossValidationSplits(contentsOf: target).folds
    for (number, fold) in wanted.enumerated() {
      guard present.indices.contains(number), Set(present[number].train) == Set(fold.train),
        Set(present[number].val) == Set(fold.val)
      else {
        throw DatasetError(
          .invalidValue, file: target.path, problem: "fold \(number) differs from the one in \(source.path)",
          advice: "Remove one of the two files, or make them agree")
      }
    }
  }
}
