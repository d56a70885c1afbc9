import Datasets
import Foundation

/// Preprocesses all training cases of a data set for one configuration of its plans, and puts the reference
/// segmentations where the validation looks for them.
///
/// nnU-Net: `experiment_planning/plan_and_preprocess_api.py`, `preprocess_dataset`.
public struct DatasetPreprocessing: Sendable {
  /// How many cases are worked on at a time; by default one a thread.
  public var concurrency: Int?

  public let configuration: PlannedConfiguration
  private let datasetFolder: URL
  private let cases: [DatasetCase]
  private let preprocessor: Preprocessor

  /// Reads `nnUNet_preprocessed/DATASET/PLANS.json` and `nnUNet_raw/DATASET/dataset.json`.
  public init(datasetName: String, plansName: String, configurationName: String, folders: DatasetFolders) throws {
    let raw = try folders.rawFolder(datasetName)
    datasetFolder = try folders.preprocessedFolder(datasetName)
    let description = try DatasetDescription(contentsOf: raw.appendingPathComponent("dataset.json"))
    let plans = try Plans(contentsOf: datasetFolder.appendingPathComponent(plansName + ".json"))
    configuration = try plans.configuration(named: configurationName)
    cases = try DatasetFolders.trainingCases(rawFolder: raw, description: description)
    preprocessor = try Preprocessor(plans: plans, configuration: configuration, datasetDescription: description)
  }

  /// Makes the cases that are missing, incomplete, or made from other files or settings.
  ///
  /// - Parameter progress: the numbers of finished and of all cases, from any thread.
  /// - Returns: the cases that failed; the others are done.
  public func run(progress: @Sendable (Int, Int) -> Void) throws -> [CaseFailure] {
    try copyReferences()
    let folder = datasetFolder.appendingPathComponent(configuration.dataIdentifier, isDirectory: true)
    let run = PreprocessingRun(preprocessor: preprocessor, folder: folder, concurrency: concurrency)
    let outcomes = try run.run(cases) { progress($0.finished, $0.total) }
    return zip(cases, outcomes).compactMap { item, outcome in
      guard case .failed(let reason) = outcome else { return nil }
      return CaseFailure(identifier: item.identifier, reason: reason)
    }
  }

  /// Copies label files to `gt_segmentations`, those that are missing or older there.
  private func copyReferences() throws {
    let folder = datasetFolder.appendingPathComponent("gt_segmentations", isDirectory: true)
    let manager = FileManager.default
    try manager.createDirectory(at: folder, withIntermediateDirectories: true)
    func changed(_ file: URL) -> Date? {
      (try? manager.attributesOfItem(atPath: file.path))?[.modificationDate] as? Date
    }
    for item in cases {
      guard let label = item.label, let source = changed(label) else { continue }
      let target = folder.appendingPathComponent(item.identifier + preprocessor.datasetDescription.fileEnding)
      if let present = changed(target), present >= source { continue }
      do {
        try Data(contentsOf: label).write(to: target, options: .atomic)
      } catch {
        throw DatasetError(
          .inaccessible, file: target.path,
          problem: "can't be copied from \(label.path) (\(error.localizedDescription))",
          advice: "Check permissions and free space")
      }
    }
  }
}
