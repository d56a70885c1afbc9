import ArgumentParser
import Datasets
import Foundation
import Planning

struct MovePlansCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnUNetv2_move_plans_between_datasets",
    abstract: "Adapts the plans of one data set to another, to train on the one and fine-tune on the other.",
    aliases: ["move_plans_between_datasets"])

  @Option(name: .customShort("s"), help: "Source dataset name or ID.")
  var source: String

  @Option(name: .customShort("t"), help: "Target dataset name or ID.")
  var target: String

  @Option(
    name: .customLong("sp", withSingleDash: true), help: "The source plans file's name without .json.")
  var sourcePlans: String

  @Option(
    name: .customLong("tp", withSingleDash: true),
    help: """
      The target plans file's name without .json. Default: the source's, which is not recommended for nnU-Net's own \
      names such as nnUNetPlans, because planning the target would overwrite them.
      """)
  var targetPlans: String?

  func run() throws {
    let folders = DatasetFolders()
    let file = try PlansTransfer.movePlans(
      from: folders.datasetName(source), to: folders.datasetName(target), plansName: sourcePlans,
      targetPlansName: targetPlans, folders: folders)
    print("Plans were saved to \(file.path)")
  }
}
