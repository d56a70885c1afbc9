import ArgumentParser
import Evaluation
import Foundation

struct EvaluateSimpleCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnUNetv2_evaluate_simple",
    abstract: "Compares predicted segmentations with reference segmentations, for given labels.",
    aliases: ["evaluate_simple"])

  @Argument(help: "Folder with ground truth segmentations.")
  var groundTruthFolder: String

  @Argument(help: "Folder with predicted segmentations.")
  var predictionFolder: String

  @Option(name: .customShort("l"), parsing: .upToNextOption, help: "List of labels.")
  var labels: [Int]

  @Option(name: .customLong("il", withSingleDash: true), help: "Ignore label.")
  var ignoreLabel: Int?

  @Option(name: .customShort("o"), help: "Output file. Default: pred_folder/summary.json")
  var output: String?

  @Option(name: .customLong("np", withSingleDash: true), help: "How many cases are compared at a time.")
  var threads: Int?

  @Flag(name: .customLong("chill"), help: "Don't fail if some references have no prediction.")
  var allowsMissingPredictions = false

  func run() throws {
    let evaluation = try FolderEvaluation(
      simple: labels, referenceFolder: URL(fileURLWithPath: groundTruthFolder),
      predictionFolder: URL(fileURLWithPath: predictionFolder), ignoreLabel: ignoreLabel,
      allowsMissingPredictions: allowsMissingPredictions)
    try evaluation.runAndWrite(to: output, threads: threads)
  }
}

extension FolderEvaluation {
  /// Compares, writes the summary, prints the mean Dice, and fails if a case could not be compared.
  ///
  /// - Parameter output: by default `summary.json` beside the predictions.
  func runAndWrite(to output: String?, threads: Int?) throws {
    let bar = ProgressBar(title: "evaluating")
    let result = try run(threads: threads ?? defaultProcessCount) { done, all in bar.update(done, of: all) }
    bar.finish()
    let file = output.map { URL(fileURLWithPath: $0) } ?? predictionFolder.appendingPathComponent("summary.json")
    try result.summary.write(to: file)
    print("Mean foreground Dice: \(result.summary.foregroundMean.dice)")
    print("Written: \(file.path)")
    try result.failures.reportAndThrow()
  }
}
