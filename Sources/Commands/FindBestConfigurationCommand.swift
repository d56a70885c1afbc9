import ArgumentParser
import Datasets
import Evaluation
import Foundation

struct FindBestConfigurationCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnUNetv2_find_best_configuration",
    abstract: "Compares cross-validated models and ensembles of two, and says how to predict with the best.",
    aliases: ["find_best_configuration"])

  @Argument(help: "Dataset name or ID.")
  var datasetNameOrId: String

  @Option(name: .customShort("p"), parsing: .upToNextOption, help: "The plans identifiers.")
  var plans = ["nnUNetPlans"]

  @Option(
    name: .customShort("c"), parsing: .upToNextOption,
    help: "The configurations; those that plans don't have are left out.")
  var configurations = ["2d", "3d_fullres", "3d_lowres", "3d_cascade_fullres"]

  @Option(name: .customLong("tr", withSingleDash: true), parsing: .upToNextOption, help: "The trainers.")
  var trainers = ["nnUNetTrainer"]

  @OptionGroup var concurrency: ConcurrencyArgument

  @Option(name: .customShort("f"), parsing: .upToNextOption, help: "The folds.")
  var folds: [FoldSelection] = FoldSelection.crossValidation

  @Flag(name: .customLong("disable_ensembling"), help: "Compare single models only.")
  var disablesEnsembles = false

  @Flag(
    name: .customLong("no_overwrite"),
    help: "Keep merged and ensembled predictions of earlier runs; they may be outdated.")
  var keepsResults = false

  func run() throws {
    let folders = DatasetFolders()
    let search = try BestConfiguration(
      dataset: folders.datasetName(datasetNameOrId), folders: folders,
      models: trainers.flatMap { trainer in
        configurations.flatMap { configuration in
          plans.map { ModelIdentifier(trainer: trainer, plans: $0, configuration: configuration) }
        }
      },
      folds: folds, allowsEnsembles: !disablesEnsembles, overwrites: !keepsResults, threads: concurrency.threads,
      note: { print($0) })
    let bar = ProgressBar(title: "comparing")
    let result = try search.run(
      candidateDone: { candidate in
        bar.finish()
        print("\(candidate.identifier): \(candidate.dice)")
      },
      caseDone: { bar.update($0, of: $1) })
    print("\n*Best*: \(result.best.identifier): \(result.best.dice)")
    print("With postprocessing: \(result.postprocessing.after.foregroundMean.dice)\n")
    print(result.instructions)
  }
}
