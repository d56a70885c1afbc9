import ArgumentParser
import Evaluation

struct EvaluateSimpleCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnUNetv2_evaluate_simple",
    abstract: "Compares predicted segmentations with reference segmentations, for given labels.",
    aliases: ["evaluate_simple"])

  @OptionGroup var evaluation: EvaluationArguments

  @Option(name: .customShort("l"), parsing: .upToNextOption, help: "List of labels.")
  var labels: [Int]

  // Unconditional: -1 is a label.
  @Option(name: .customLong("il", withSingleDash: true), parsing: .unconditional, help: "Ignore label.")
  var ignoreLabel: Int?

  func run() throws {
    try evaluation.run(
      FolderEvaluation(
        simple: labels, referenceFolder: evaluation.groundTruthFolder, predictionFolder: evaluation.predictionFolder,
        ignoreLabel: ignoreLabel, allowsMissingPredictions: evaluation.allowsMissingPredictions))
  }
}
