import ArgumentParser
import Datasets

struct PlanAndPreprocessCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnUNetv2_plan_and_preprocess",
    abstract: "Extracts fingerprints, plans networks and preprocesses the cases of data sets.",
    aliases: ["plan_and_preprocess"])

  @OptionGroup var data: DatasetArguments
  @OptionGroup var fingerprint: FingerprintArguments

  @Option(
    name: .customLong("npfp", withSingleDash: true), help: "How many cases are read at a time for the fingerprint.")
  var fingerprintThreads: Int?

  @Flag(name: .customLong("no_pp"), help: "Only extract fingerprints and plan.")
  var skipsPreprocessing = false

  @OptionGroup var planner: PlannerArguments
  @OptionGroup var preprocessing: PreprocessingArguments

  func validate() throws {
    if let fingerprintThreads, fingerprintThreads < 1 {
      throw ValidationError("-npfp \(fingerprintThreads): it must be positive.")
    }
  }

  func run() throws {
    let folders = DatasetFolders()
    let experimentPlanner = try planner.experimentPlanner()
    var queue = try data.queue(folders)
    fingerprint.extract(
      &queue, folders: folders, threads: fingerprintThreads ?? defaultProcessCount,
      showsProgress: !data.disablesProgressBar, isVerbose: data.isVerbose)
    planner.plan(&queue, with: experimentPlanner, folders: folders)
    if !skipsPreprocessing {
      preprocessing.preprocess(
        &queue, plansName: experimentPlanner.plansName, folders: folders, showsProgress: !data.disablesProgressBar,
        isVerbose: data.isVerbose)
    }
    try queue.finish()
  }
}
