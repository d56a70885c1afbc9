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

  func run() throws {
    let folders = DatasetFolders()
    let names = try data.names(folders)
    try fingerprint.extract(
      names, folders: folders, threads: fingerprintThreads, showsProgress: !data.disablesProgressBar,
      isVerbose: data.isVerbose)
    let plansName = try planner.plan(names, folders: folders)
    guard !skipsPreprocessing else { return }
    try preprocessing.preprocess(
      names, plansName: plansName, folders: folders, showsProgress: !data.disablesProgressBar)
  }
}
