import ArgumentParser
import Datasets
import Foundation
import Inference

struct InstallModelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnUNetv2_install_pretrained_model_from_zip",
    abstract: "Unpacks trained models from a zip file into nnUNet_results.",
    discussion: "Models of the same data set, trainer, plans and configuration are replaced.",
    aliases: ["install_pretrained_model_from_zip"])

  @Argument(help: "The zip file.")
  var zip: String

  func run() throws {
    let results = try DatasetFolders().requireResults()
    for name in try ModelInstallation.install(URL(fileURLWithPath: zip), into: results) { print(name) }
    print("Installed into \(results.path)")
  }
}
