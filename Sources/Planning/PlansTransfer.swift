import Datasets
import Foundation
import Volumes

/// Moves plans from one data set to another, for pretraining on the one and fine-tuning on the other.
///
/// nnU-Net: experiment_planning/plans_for_pretraining/move_plans_between_datasets.py.
public enum PlansTransfer {
  /// Writes the source's plans, adapted to the target, into the target's preprocessed folder.
  /// - Parameter targetPlansName: `nil` keeps the name.
  /// - Returns: the file written.
  public static func movePlans(
    from source: String, to target: String, plansName: String, targetPlansName: String?, folders: DatasetFolders
  ) throws -> URL {
    let plans = try folders.plans(named: plansName, of: source)
    let description = try DatasetDescription(
      contentsOf: folders.rawFolder(target).appendingPathComponent("dataset.json"))
    let reader = try ReaderWriters.choose(for: description, rawFolder: folders.rawFolder(target))
    let targetName = targetPlansName ?? plansName
    let moved = adapted(
      plans.json, datasetName: target, plansName: plansName, targetPlansName: targetName, readerWriterName: reader.name)
    let folder = try folders.preprocessedFolder(target)
    try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let file = folder.appendingPathComponent(targetName + ".json")
    try JSONValue.object(moved).write(to: file)
    return file
  }

  /// The plans with the target's names in place of the source's.
  package static func adapted(
    _ plans: JSONValue.Object, datasetName: String, plansName: String, targetPlansName: String,
    readerWriterName: String
  ) -> JSONValue.Object {
    var plans = plans
    plans["dataset_name"] = .string(datasetName)
    if targetPlansName != plansName, var configurations = plans["configurations"]?.object {
      for (name, value) in configurations {
        guard var configuration = value.object, let identifier = configuration["data_identifier"]?.string else {
          continue
        }
        let adapted =
          identifier.hasPrefix(plansName)
          ? targetPlansName + identifier.dropFirst(plansName.count) : targetPlansName + "_" + identifier
        configuration["data_identifier"] = .string(adapted)
        configurations[name] = .object(configuration)
      }
      plans["configurations"] = .object(configurations)
    }
    plans["image_reader_writer"] = .string(readerWriterName)
    plans["plans_name"] = .string(targetPlansName)
    return plans
  }
}
