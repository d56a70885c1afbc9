import ArgumentParser
import Datasets

struct PlanExperimentCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnUNetv2_plan_experiment", abstract: "Plans networks and preprocessing from the fingerprint.",
    aliases: ["plan_experiment"])

  @OptionGroup var data: DatasetSelection
  @OptionGroup var planner: PlannerArguments

  func run() throws {
    let folders = DatasetFolders()
    let experimentPlanner = try planner.experimentPlanner()
    var queue = try data.queue(folders)
    planner.plan(&queue, with: experimentPlanner, folders: folders)
    try queue.finish()
  }
}
