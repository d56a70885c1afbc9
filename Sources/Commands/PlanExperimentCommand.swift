import ArgumentParser
import Datasets

struct PlanExperimentCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnUNetv2_plan_experiment", abstract: "Plans networks and preprocessing from the fingerprint.",
    aliases: ["plan_experiment"])

  @Option(name: .customShort("d"), parsing: .upToNextOption, help: "IDs of the data sets. Example: 2 4 5")
  var datasets: [String]

  @OptionGroup var planner: PlannerArguments

  func run() throws {
    let folders = DatasetFolders()
    let experimentPlanner = try planner.experimentPlanner()
    var queue = DatasetQueue(try datasets.map { try folders.datasetName($0) }.uniqued())
    planner.plan(&queue, with: experimentPlanner, folders: folders)
    try queue.finish()
  }
}
