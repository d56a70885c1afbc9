import ArgumentParser
import Datasets
import Foundation

struct PredictCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnUNetv2_predict", abstract: "Predicts the cases of a folder with a trained model.",
    aliases: ["predict"])

  @OptionGroup var prediction: PredictionArguments

  @Option(name: .customShort("d"), help: "The data set the model was trained on, name or ID.")
  var dataset: String

  @Option(name: .customShort("p"), help: "The plans identifier.")
  var plans = "nnUNetPlans"

  @Option(name: .customLong("tr", withSingleDash: true), help: "The trainer that was used.")
  var trainer = "nnUNetTrainer"

  @Option(name: .customShort("c"), help: "The configuration.")
  var configuration: String

  @Option(
    name: .customLong("num_parts", withSingleDash: true),
    help: "How many runs of this command share the cases.")
  var partCount = 1

  @Option(
    name: .customLong("part_id", withSingleDash: true), help: "Which of these runs this is, from 0.")
  var part = 0

  func validate() throws {
    guard partCount > 0, (0..<partCount).contains(part) else {
      throw ValidationError("-part_id \(part) must be at least 0 and below -num_parts \(partCount).")
    }
  }

  func run() throws {
    let folders = DatasetFolders()
    let model = try folders.modelFolder(
      folders.datasetName(dataset), trainer: trainer, plans: plans, configuration: configuration)
    try prediction.predict(modelFolder: model, partCount: partCount, part: part)
  }
}
