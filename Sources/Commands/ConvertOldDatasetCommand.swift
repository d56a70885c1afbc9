import ArgumentParser
import DatasetConversion
import Datasets
import Foundation
import TensorCore

struct ConvertOldDatasetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnUNetv2_convert_old_nnUNet_dataset",
    abstract: "Makes a raw data set from one of nnU-Net version 1.", aliases: ["convert_old_nnUNet_dataset"])

  @Argument(
    help: "The old task's folder, with imagesTr, labelsTr and so on in it: its path, not just the task's name.")
  var inputFolder: String

  @Argument(help: "The new data set's name (not path), such as Dataset004_Hippocampus.")
  var outputDatasetName: String

  func run() throws {
    let conversion = try OldDatasetConversion(
      sourceFolder: URL(fileURLWithPath: inputFolder), datasetName: outputDatasetName, folders: DatasetFolders())
    try ConversionReport.run(conversion.folder) { progress in
      try conversion.run(pool: .running(defaultProcessCount), progress: progress)
    }
  }
}
