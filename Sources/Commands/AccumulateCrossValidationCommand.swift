import ArgumentParser
import Datasets
import Evaluation
import Foundation

struct AccumulateCrossValidationCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnUNetv2_accumulate_crossval_results",
    abstract: "Copies the validation predictions of all folds into one folder, and evaluates them together.",
    aliases: ["accumulate_crossval_results"])

  @Argument(help: "Dataset name or ID.")
  var datasetNameOrId: String

  @Option(name: .customShort("c"), help: "The configuration.")
  var configuration: String

  @Option(
    name: .customShort("o"),
    help: "Output folder, which must be empty. Default: crossval_results_folds_X_Y in the model's folder, made anew.")
  var output: String?

  @Option(name: .customShort("f"), parsing: .upToNextOption, help: "The folds.")
  var folds: [FoldSelection] = FoldSelection.crossValidation

  @Option(name: .customShort("p"), help: "The plans identifier.")
  var plans = "nnUNetPlans"

  @Option(name: .customLong("tr", withSingleDash: true), help: "The trainer.")
  var trainer = "nnUNetTrainer"

  func run() throws {
    let folders = DatasetFolders()
    let model = try folders.modelFolder(
      folders.datasetName(datasetNameOrId), trainer: trainer, plans: plans, configuration: configuration)
    let results = CrossValidationResults(
      modelFolder: model, folds: folds, outputFolder: output.map { URL(fileURLWithPath: $0) })
    if output != nil,
      let content = try? FileManager.default.contentsOfDirectory(atPath: results.outputFolder.path), !content.isEmpty
    {
      throw EvaluationError.folderNotEmpty(results.outputFolder.path)
    }
    let bar = ProgressBar(title: "evaluating")
    let summary = try results.run(folders: folders, threads: defaultProcessCount) { bar.update($0, of: $1) }
    bar.finish()
    print("Mean foreground Dice: \(summary.foregroundMean.dice)")
    print("Written: \(results.outputFolder.path)")
  }
}
