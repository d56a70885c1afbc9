import ArgumentParser
import Foundation

struct PredictFromModelFolderCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnUNetv2_predict_from_modelfolder",
    abstract: "Predicts the cases of a folder with a model given by its folder, trained here or in Python.",
    aliases: ["predict_from_modelfolder"])

  @OptionGroup var prediction: PredictionArguments

  @Option(name: .customShort("m"), help: "The model's folder, with plans.json, dataset.json and fold_X.")
  var modelFolder: String

  func run() throws {
    try prediction.predict(modelFolder: URL(fileURLWithPath: modelFolder), partCount: 1, part: 0)
  }
}
