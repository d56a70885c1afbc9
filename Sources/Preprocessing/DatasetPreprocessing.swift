import Datasets
import Foundation
import HDF5Files

/// Preprocesses all training cases of a data set for one configuration of its plans, and puts the reference
/// segmentations where the validation looks for them.
///
/// nnU-Net: `experiment_planning/plan_and_preprocess_api.py`, `preprocess_dataset`.
public struct DatasetPreprocessing: Sendable {
  /// How many cases are worked on at a time; by default one a thread.
  public var concurrency: Int?
  /// Whether cases that are up to date are made again.
  public var overwrites = false

  public let configuration: PlannedConfiguration
  private let datasetFolder: URL
  private let cases: [DatasetCase]
  private let preprocessor: Preprocessor

  /// Reads `nnUNet_preprocessed/DATASET/PLANS.json` and, beside it, the `dataset.json` that the plans were made with
  /// (where there is none, the raw data set's).
  public init(datasetName: String, plansName: String, configurationName: String, folders: DatasetFolders) throws {
    let raw = try folders.rawFolder(datasetName)
    datasetFolder = try folders.preprocessedFolder(datasetName)
    let plans = try folders.plans(named: plansName, of: datasetName)
    let planned = datasetFolder.appendingPathComponent("dataset.json")
    let description = try DatasetDescription(
      contentsOf: FileManager.default.fileExists(atPath: planned.path)
        ? planned : raw.appendingPathComponent("dataset.json"))
    configuration = try plans.configuration(named: configurationName)
    cases = try DatasetFolders.trainingCases(rawFolder: raw, description: description)
    preprocessor = try Preprocessor(plans: plans, configuration: configuration, datasetDescription: description)
  }

  /// Where the cases go.
  public var folder: URL { datasetFolder.appendingPathComponent(configuration.dataIdentifier, isDirectory: true) }

  /// What a run did beside the cases it told of.
  public struct Report: Sendable {
    /// Cases that could not be done; the others are.
    public let failures: [CaseFailure]
    /// Cases removed because the data set no longer has them.
    public let removedCases: [String]
  }

  /// Makes the cases that are missing, incomplete, or made from other files or settings; removes those that the data
  /// set no longer has; copies the reference segmentations.
  ///
  /// - Parameter progress: is told of every finished case, from one thread at a time.
  public func run(progress: @Sendable (PreprocessingRun.Progress) -> Void) throws -> Report {
    let removed = try removeStaleCases()
    var run = PreprocessingRun(preprocessor: preprocessor, folder: folder, concurrency: concurrency)
    run.overwrites = overwrites
    let outcomes = try run.run(cases, progress: progress)
    var failures = zip(cases, outcomes).compactMap { item, outcome -> CaseFailure? in
      guard case .failed(let reason) = outcome else { return nil }
      return CaseFailure(identifier: item.identifier, reason: reason)
    }
    let failed = Set(failures.map(\.identifier))
    failures += try copyReferences().filter { !failed.contains($0.identifier) }
    return Report(failures: failures, removedCases: removed)
  }

  /// Removes preprocessed cases that the data set no longer has, and what an interrupted run left half written.
  ///
  /// nnU-Net empties the folder before every run. Here results that are still right stay, so what is no longer wanted
  /// has to go by itself: training takes every case that it finds.
  /// - Returns: the cases removed.
  private func removeStaleCases() throws -> [String] {
    guard FileManager.default.fileExists(atPath: folder.path) else { return [] }
    HDF5File.removeAbandonedFiles(inFolder: folder.path)
    let wanted = Set(cases.map(\.identifier))
    let stale = try CaseStore(folder: folder).identifiers.filter { !wanted.contains($0) }
    for identifier in stale {
      let file = CaseStore.file(identifier, in: folder)
      do {
        try FileManager.default.removeItem(at: file)
      } catch {
        throw DatasetError(
          .inaccessible, file: file.path,
          problem: "the data set no longer has this case, but it can't be removed (\(error.localizedDescription))",
          advice: "Remove the file")
      }
    }
    return stale
  }

  /// Copies label files to `gt_segmentations`, those that are missing or older there.
  ///
  /// - Returns: the cases whose label file could not be copied.
  private func copyReferences() throws -> [CaseFailure] {
    let references = datasetFolder.appendingPathComponent("gt_segmentations", isDirectory: true)
    try FileManager.default.createDirectory(at: references, withIntermediateDirectories: true)
    return cases.compactMap { item in
      guard let label = item.label else { return nil }
      do {
        try FileCopy.copyIfNewer(
          label,
          to: references.appendingPathComponent(item.identifier + preprocessor.datasetDescription.fileEnding))
        return nil
      } catch {
        return CaseFailure(identifier: item.identifier, reason: "\(error)")
      }
    }
  }
}
