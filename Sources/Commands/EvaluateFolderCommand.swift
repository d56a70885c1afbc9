import ArgumentParser
import Datasets
import Evaluation
import Foundation
import Volumes

struct EvaluateFolderCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnUNetv2_evaluate_folder",
    abstract: "Compares predicted segmentations with reference segmentations.", aliases: ["evaluate_folder"])

  @Argument(help: "Folder with ground truth segmentations.")
  var groundTruthFolder: String

  @Argument(help: "Folder with predicted segmentations.")
  var predictionFolder: String

  @Option(name: .customLong("djfile", withSingleDash: true), help: "The dataset.json file.")
  var datasetFile: String

  @Option(name: .customLong("pfile", withSingleDash: true), help: "The plans.json file.")
  var plansFile: String

  @Option(name: .customShort("o"), help: "Output file. Default: pred_folder/summary.json")
  var output: String?

  @Option(name: .customLong("np", withSingleDash: true), help: "How many cases are compared at a time.")
  var threads: Int?

  @Flag(name: .customLong("chill"), help: "Don't fail if some references have no prediction.")
  var allowsMissingPredictions = false

  func run() throws {
    let plans = try Plans(contentsOf: URL(fileURLWithPath: plansFile))
    var evaluation = try FolderEvaluation(
      datasetDescription: DatasetDescription(contentsOf: URL(fileURLWithPath: datasetFile)),
      referenceFolder: URL(fileURLWithPath: groundTruthFolder),
      predictionFolder: URL(fileURLWithPath: predictionFolder),
      allowsMissingPredictions: allowsMissingPredictions)
    evaluation.readerWriter = try ReaderWriters.named(plans.imageReaderWriter)
    try evaluation.runAndWrite(to: output, threads: threads)
  }
}
