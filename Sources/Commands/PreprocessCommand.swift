import ArgumentParser
import Datasets
import Preprocessing

struct PreprocessCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnUNetv2_preprocess", abstract: "Crops, normalises and resamples the cases of planned data sets.",
    aliases: ["preprocess"])

  @OptionGroup var data: DatasetArguments

  @Option(name: .customLong("plans_name", withSingleDash: true), help: "The plans file's name without .json.")
  var plansName = "nnUNetPlans"

  @OptionGroup var preprocessing: PreprocessingArguments

  func run() throws {
    let folders = DatasetFolders()
    try preprocessing.preprocess(
      data.names(folders), plansName: plansName, folders: folders, showsProgress: !data.disablesProgressBar)
  }
}

/// Which configurations are preprocessed, and how many cases at a time.
struct PreprocessingArguments: ParsableArguments {
  @Option(
    name: .customShort("c"), parsing: .upToNextOption,
    help: """
      The configurations. Those that a data set's plans don't have are skipped; 3d_cascade_fullres uses the data of \
      3d_fullres. Default: 2d 3d_fullres 3d_lowres
      """)
  var configurations = ["2d", "3d_fullres", "3d_lowres"]

  @Option(
    name: .customLong("np", withSingleDash: true), parsing: .upToNextOption,
    help: "How many cases are worked on at a time: one number, or one per configuration. Default: one a thread.")
  var concurrency: [Int] = []

  func validate() throws {
    guard concurrency.count <= 1 || concurrency.count == configurations.count, concurrency.allSatisfy({ $0 > 0 }) else {
      throw ValidationError(
        "-np takes one positive number, or one for each of the \(configurations.count) configurations; "
          + "found \(concurrency).")
    }
  }

  /// Preprocesses, and ends with exit code 1 if a case failed.
  func preprocess(_ names: [String], plansName: String, folders: DatasetFolders, showsProgress: Bool) throws {
    var failures: [CaseFailure] = []
    for name in names {
      print("Preprocessing \(name) with \(plansName)")
      let plans = try Plans(
        contentsOf: folders.preprocessedFolder(name).appendingPathComponent(plansName + ".json"))
      for (index, configuration) in configurations.enumerated() {
        guard plans.configurationNames.contains(configuration) else {
          print("INFO: the plans have no configuration \(configuration), skipping it")
          continue
        }
        var work = try DatasetPreprocessing(
          datasetName: name, plansName: plansName, configurationName: configuration, folders: folders)
        work.concurrency = concurrency.count > 1 ? concurrency[index] : concurrency.first ?? defaultProcessCount
        let bar = ProgressBar(title: configuration, isShown: showsProgress)
        failures += try work.run { bar.update($0, of: $1) }
        bar.finish()
      }
    }
    try failures.reportAndThrow()
  }
}
