import ArgumentParser
import Datasets
import Evaluation
import Foundation
import Volumes

struct EvaluateFolderCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnUNetv2_evaluate_folder",
    abstract: "Compares predicted segmentations with reference segmentations.", aliases: ["evaluate_folder"])

  @OptionGroup var evaluation: EvaluationArguments

  @Option(name: .customLong("djfile", withSingleDash: true), help: "The dataset.json file.")
  var datasetFile: String

  @Option(name: .customLong("pfile", withSingleDash: true), help: "The plans.json file.")
  var plansFile: String

  func run() throws {
    let plans = try Plans(contentsOf: URL(fileURLWithPath: plansFile))
    var folders = try FolderEvaluation(
      datasetDescription: DatasetDescription(contentsOf: URL(fileURLWithPath: datasetFile)),
      referenceFolder: evaluation.groundTruthFolder, predictionFolder: evaluation.predictionFolder,
      allowsMissingPredictions: evaluation.allowsMissingPredictions)
    folders.readerWriter = try ReaderWriters.named(plans.imageReaderWriter)
    try evaluation.run(folders)
  }
}
