import ArgumentParser
import Datasets
import Foundation
import Preprocessing
import Synchronization

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
    var queue = try data.queue(folders)
    preprocessing.preprocess(
      &queue, plansName: plansName, folders: folders, showsProgress: !data.disablesProgressBar,
      isVerbose: data.isVerbose)
    try queue.finish()
  }
}

/// Which configurations are preprocessed, and how many cases at a time.
struct PreprocessingArguments: ParsableArguments {
  @Option(
    name: .customShort("c"), parsing: .upToNextOption,
    help: """
      The configurations. Those that a data set's plans don't have are skipped; 3d_cascade_fullres uses the data of \
      3d_fullres.
      """)
  var configurations = ["2d", "3d_fullres", "3d_lowres"]

  @Option(
    name: .customLong("np", withSingleDash: true), parsing: .upToNextOption,
    help: "How many cases are worked on at a time: one number, or one per configuration. Default: one a thread.")
  var concurrency: [Int] = []

  @Flag(
    name: .customLong("overwrite"),
    help: "Make cases again that are there and up to date. Those made from other files or settings always are.")
  var overwrites = false

  func validate() throws {
    guard concurrency.count <= 1 || concurrency.count == configurations.count, concurrency.allSatisfy({ $0 > 0 }) else {
      throw ValidationError(
        "-np takes one positive number, or one for each of the \(configurations.count) configurations; "
          + "found \(concurrency).")
    }
  }

  /// Preprocesses every data set; one with failed cases counts as failed, its other cases are done.
  func preprocess(
    _ queue: inout DatasetQueue, plansName: String, folders: DatasetFolders, showsProgress: Bool, isVerbose: Bool
  ) {
    queue.forEach { name in
      print("Preprocessing \(name) with \(plansName)")
      let plans = try folders.plans(named: plansName, of: name)
      var failures: [CaseFailure] = []
      for (index, configuration) in configurations.enumerated() {
        guard plans.configurationNames.contains(configuration) else {
          print("INFO: the plans have no configuration \(configuration), skipping it")
          continue
        }
        var work = try DatasetPreprocessing(
          datasetName: name, plansName: plansName, configurationName: configuration, folders: folders)
        work.concurrency = concurrency.count > 1 ? concurrency[index] : concurrency.first ?? defaultProcessCount
        work.overwrites = overwrites
        failures += try preprocess(work, showsProgress: showsProgress, isVerbose: isVerbose)
      }
      try failures.reportAndThrow()
    }
  }

  private func preprocess(
    _ work: DatasetPreprocessing, showsProgress: Bool, isVerbose: Bool
  ) throws -> [CaseFailure] {
    if isVerbose { print(work.configuration.preprocessingSummary) }
    let bar = ProgressBar(title: work.configuration.name, isShown: showsProgress)
    let keptCount = Mutex(0)
    let report = try work.run { progress in
      if progress.outcome == .kept { keptCount.withLock { $0 += 1 } }
      if isVerbose { bar.note(progress.line) }
      bar.update(progress.finished, of: progress.total)
    }
    bar.finish()
    let kept = keptCount.withLock { $0 }
    if kept > 0 { print("\(work.configuration.name): \(kept) case(s) were up to date and are kept") }
    if !report.removedCases.isEmpty {
      print(
        "\(work.configuration.name): removed \(report.removedCases.count) case(s) that the data set no longer has: "
          + report.removedCases.joined(separator: ", "))
    }
    return report.failures
  }
}

extension PlannedConfiguration {
  /// How cases are preprocessed.
  fileprivate var preprocessingSummary: String {
    "\(name): spacing \(spacing), normalization \(normalizationSchemes.joined(separator: ", ")), data "
      + "\(resamplingFnData.name), segmentations \(resamplingFnSeg.name), cases in \(dataIdentifier)"
  }
}

extension PreprocessingRun.Progress {
  /// What happened to the case.
  fileprivate var line: String {
    switch outcome {
    case .kept: "\(identifier): up to date"
    case .failed(let reason): "\(identifier): FAILED: \(reason)"
    case .done:
      work.map {
        "\(identifier): shape \($0.shape), cropped \($0.croppedShape), resampled \($0.resampledShape), "
          + String(format: "%.2f s", $0.seconds)
      } ?? identifier
    }
  }
}
