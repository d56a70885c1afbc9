import Foundation

/// A trained model of a data set: what names its folder `TRAINER__PLANS__CONFIGURATION`.
public struct ModelIdentifier: Sendable, Hashable, CustomStringConvertible {
  public let trainer: String
  public let plans: String
  public let configuration: String

  public init(trainer: String, plans: String, configuration: String) {
    self.trainer = trainer
    self.plans = plans
    self.configuration = configuration
  }

  public var description: String { "\(trainer)__\(plans)__\(configuration)" }
}

extension DatasetFolders {
  /// `nnUNet_results/DATASET`.
  public func resultsFolder(_ datasetName: String) throws -> URL {
    try requireResults().appendingPathComponent(datasetName, isDirectory: true)
  }

  /// `nnUNet_results/DATASET/TRAINER__PLANS__CONFIGURATION`.
  public func modelFolder(_ datasetName: String, _ model: ModelIdentifier) throws -> URL {
    try resultsFolder(datasetName).appendingPathComponent(model.description, isDirectory: true)
  }

  /// `nnUNet_results/DATASET/ensembles`.
  public func ensemblesFolder(_ datasetName: String) throws -> URL {
    try resultsFolder(datasetName).appendingPathComponent("ensembles", isDirectory: true)
  }

  /// `ensemble___MODEL___MODEL___0_1_2`.
  package static func ensembleName(_ models: [ModelIdentifier], folds: [FoldSelection]) -> String {
    "ensemble___" + models.map(\.description).joined(separator: "___") + "___" + folds.joinedName
  }

  /// `crossval_results_folds_0_1_2`.
  package static func crossValidationFolderName(_ folds: [FoldSelection]) -> String {
    "crossval_results_folds_" + folds.joinedName
  }
}

extension [FoldSelection] {
  /// `0_1_2`.
  fileprivate var joinedName: String { map(\.description).joined(separator: "_") }
}
