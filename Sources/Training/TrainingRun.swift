import Datasets
import Foundation

/// What to train: a configuration and fold of a planned and preprocessed data set.
public struct TrainingRun: Sendable {
  public let folders: DatasetFolders
  public let datasetName: String
  public let configurationName: String
  public let fold: FoldSelection
  public var settings: TrainerSettings
  public let plans: Plans
  public let configuration: PlannedConfiguration
  public let description: DatasetDescription
  public let labels: LabelManager

  /// Reads plans and `dataset.json` from `nnUNet_preprocessed/DATASET`.
  ///
  /// - Parameters:
  ///   - dataset: the data set's name or number.
  ///   - plansIdentifier: the name of the plans file without `.json`.
  /// - Throws: `DatasetError`, `TrainingError.unknownTrainer`, `TrainingError.cascadeStage`.
  public init(
    folders: DatasetFolders, dataset: String, configuration: String, fold: FoldSelection, trainer: String,
    plansIdentifier: String
  ) throws {
    settings = try TrainerSettings(named: trainer)
    datasetName = try folders.datasetName(dataset)
    let preprocessed = try folders.preprocessedFolder(datasetName)
    plans = try Plans(contentsOf: preprocessed.appendingPathComponent(plansIdentifier + ".json"))
    self.configuration = try plans.configuration(named: configuration)
    if let previous = self.configuration.previousStage {
      throw TrainingError.cascadeStage(configuration: configuration, previousStage: previous)
    }
    description = try DatasetDescription(contentsOf: preprocessed.appendingPathComponent("dataset.json"))
    labels = try LabelManager(description)
    configurationName = configuration
    self.fold = fold
    self.folders = folders
  }

  /// `nnUNet_preprocessed/DATASET`.
  public var datasetFolder: URL { get throws { try folders.preprocessedFolder(datasetName) } }

  /// Where the preprocessed cases are.
  public var caseFolder: URL {
    get throws { try datasetFolder.appendingPathComponent(configuration.dataIdentifier, isDirectory: true) }
  }

  /// `nnUNet_results/DATASET/TRAINER__PLANS__CONFIGURATION`.
  public var modelFolder: URL {
    get throws {
      try folders.modelFolder(
        datasetName, trainer: settings.name, plans: plans.plansName, configuration: configurationName)
    }
  }

  /// `fold_X` in the model folder.
  public var foldFolder: URL {
    get throws { try modelFolder.appendingPathComponent(DatasetFolders.foldFolderName(fold), isDirectory: true) }
  }

  /// The cases of the fold. Reads `splits_final.json`, and makes it where it is missing, as nnU-Net does.
  ///
  /// - Parameters:
  ///   - identifiers: all preprocessed cases.
  ///   - note: told where the split comes from.
  func split(of identifiers: [String], note: (String) -> Void) throws -> CrossValidationSplits.Fold {
    if fold == .all {
      return CrossValidationSplits.Fold(train: identifiers, val: identifiers)
    }
    let file = try datasetFolder.appendingPathComponent("splits_final.json")
    let splits: CrossValidationSplits
    if FileManager.default.fileExists(atPath: file.path) {
      note("Using splits from existing split file: \(file.path)")
      splits = try CrossValidationSplits(contentsOf: file)
    } else {
      note("Creating new 5-fold cross-validation split...")
      splits = try CrossValidationSplits(identifiers: identifiers)
      try splits.write(to: file)
    }
    note("The split file contains \(splits.folds.count) splits.")
    note("Desired fold for training: \(fold)")
    let chosen = splits.fold(fold, identifiers: identifiers)
    if case .number(let number) = fold, !splits.folds.indices.contains(number) {
      note(
        "INFO: You requested fold \(number) for training but splits contain only \(splits.folds.count) folds. "
          + "A random 80:20 split with seed \(12345 + number) is used instead.")
    }
    note("This split has \(chosen.train.count) training and \(chosen.val.count) validation cases.")
    if !chosen.overlap.isEmpty {
      note(
        "WARNING: Some validation cases are also in the training set (\(chosen.overlap.prefix(5))). "
          + "Please check the splits.json or ignore if this is intentional.")
    }
    let known = Set(identifiers)
    let missing = (chosen.train + chosen.val).filter { !known.contains($0) }
    guard missing.isEmpty else {
      throw TrainingError.noPreprocessedCases(folder: try caseFolder, missing: missing)
    }
    guard !chosen.train.isEmpty else { throw TrainingError.emptyFold(fold: "\(fold)", part: "training") }
    guard !chosen.val.isEmpty else { throw TrainingError.emptyFold(fold: "\(fold)", part: "validation") }
    return chosen
  }
}
