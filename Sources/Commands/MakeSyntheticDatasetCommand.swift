import ArgumentParser
import Datasets
import Foundation
import SyntheticData

struct MakeSyntheticDatasetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "make_synthetic_dataset",
    abstract: "Makes a small data set with known truth in nnUNet_raw: one organ inside another, bias field, noise.",
    discussion: "datasets/demo.json is an example of the settings.")

  @Argument(help: "The settings file.")
  var settings: String

  func run() throws {
    let settings = try SyntheticDatasetSettings(contentsOf: URL(fileURLWithPath: settings))
    let folder = try SyntheticDataset.write(settings, inRawFolder: DatasetFolders().requireRaw())
    print("Made \(settings.trainingCases) training and \(settings.testCases) test cases in \(folder.path)")
  }
}
