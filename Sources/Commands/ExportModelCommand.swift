import ArgumentParser
import Datasets
import Foundation
import Inference

struct ExportModelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnUNetv2_export_model_to_zip", abstract: "Packs trained models into a zip file.",
    aliases: ["export_model_to_zip"])

  @Option(name: .customShort("d"), help: "Dataset name or ID.")
  var dataset: String

  @Option(name: .customShort("o"), help: "The zip file to write.")
  var output: String

  @Option(name: .customShort("c"), parsing: .upToNextOption, help: "The configurations.")
  var configurations = ["3d_lowres", "3d_fullres", "2d", "3d_cascade_fullres"]

  @Option(name: .customLong("tr", withSingleDash: true), help: "The trainer.")
  var trainer = "nnUNetTrainer"

  @Option(name: .customShort("p"), help: "The plans identifier.")
  var plans = "nnUNetPlans"

  @Option(name: .customShort("f"), parsing: .upToNextOption, help: "The folds.")
  var folds: [FoldSelection] = FoldSelection.crossValidation

  @Option(
    name: .customLong("chk", withSingleDash: true), parsing: .upToNextOption,
    help: "The checkpoints. Where there is no such file, the same name with .h5 or .pth is taken.")
  var checkpoints = ["checkpoint_final.pth"]

  @Flag(name: .customLong("not_strict"), help: "Leave out configurations and folds that are not there.")
  var allowsMissing = false

  @Flag(name: .customLong("exp_cv_preds"), help: "Pack the predictions of the cross-validation too.")
  var includesPredictions = false

  func run() throws {
    let folders = DatasetFolders()
    let export = ModelExport(
      dataset: try folders.datasetName(dataset),
      models: configurations.map { ModelIdentifier(trainer: trainer, plans: plans, configuration: $0) },
      folds: folds, checkpoints: checkpoints, allowsMissing: allowsMissing, includesPredictions: includesPredictions)
    for name in try export.write(to: URL(fileURLWithPath: output), folders: folders) { print(name) }
    print("Written: \(output)")
  }
}
