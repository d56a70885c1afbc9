import ArgumentParser
import Evaluation
import Foundation

/// What both evaluation commands are told.
struct EvaluationArguments: ParsableArguments {
  @Argument(help: ArgumentHelp("Folder with ground truth segmentations.", valueName: "gt-folder"))
  private var groundTruth: String

  @Argument(help: ArgumentHelp("Folder with predicted segmentations.", valueName: "pred-folder"))
  private var prediction: String

  @Option(name: .customShort("o"), help: "Output file. Default: pred_folder/summary.json")
  private var output: String?

  @OptionGroup private var concurrency: ConcurrencyArgument

  @Flag(name: .customLong("chill"), help: "Don't fail if some references have no prediction.")
  var allowsMissingPredictions = false

  var groundTruthFolder: URL { URL(fileURLWithPath: groundTruth) }
  var predictionFolder: URL { URL(fileURLWithPath: prediction) }

  /// Compares, writes the summary, prints the mean Dice, and fails if a case could not be compared.
  func run(_ evaluation: FolderEvaluation) throws {
    let bar = ProgressBar(title: "evaluating")
    let result = try evaluation.run(threads: concurrency.threads) { done, all in bar.update(done, of: all) }
    bar.finish()
    let file = output.map { URL(fileURLWithPath: $0) } ?? predictionFolder.appendingPathComponent("summary.json")
    try result.summary.write(to: file)
    print("Mean foreground Dice: \(result.summary.foregroundMean.dice)")
    print("Written: \(file.path)")
    try result.failures.reportAndThrow()
  }
}
