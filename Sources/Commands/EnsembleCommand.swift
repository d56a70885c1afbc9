import ArgumentParser
import Evaluation
import Foundation

struct EnsembleCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnUNetv2_ensemble",
    abstract: "Averages the probabilities that several models predicted, and makes segmentations of the means.",
    aliases: ["ensemble"])

  @Option(
    name: .customShort("i"), parsing: .upToNextOption,
    help: "Folders with predictions made with --save_probabilities.")
  var inputs: [String]

  @Option(name: .customShort("o"), help: "Output folder; made if it does not exist.")
  var output: String

  @OptionGroup var concurrency: ConcurrencyArgument

  @Flag(name: .customLong("save_npz"), help: "Also write the averaged probabilities (.npz, .pkl).")
  var savesProbabilities = false

  func run() throws {
    let ensemble = try Ensemble(
      inputFolders: inputs.map { URL(fileURLWithPath: $0) }, outputFolder: URL(fileURLWithPath: output),
      savesProbabilities: savesProbabilities)
    let bar = ProgressBar(title: "ensembling")
    let failures = try ensemble.run(threads: concurrency.threads) { done, all in bar.update(done, of: all) }
    bar.finish()
    print("Written: \(output)")
    try failures.reportAndThrow()
  }
}
