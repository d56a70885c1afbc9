import ArgumentParser
import Datasets
import Foundation
import Planning

/// Which data sets a planning command works on.
struct DatasetSelection: ParsableArguments {
  @Option(name: .customShort("d"), parsing: .upToNextOption, help: "IDs of the data sets. Example: 2 4 5")
  var datasets: [String]

  /// The data sets by name, each once.
  func queue(_ folders: DatasetFolders) throws -> DatasetQueue {
    DatasetQueue(try datasets.map { try folders.datasetName($0) }.uniqued())
  }
}

/// Which data sets a planning command works on, and how it shows progress.
struct DatasetArguments: ParsableArguments {
  @OptionGroup var selection: DatasetSelection

  @Flag(name: .customLong("verbose"), help: "Print fingerprints, settings, and shapes and seconds of every case.")
  var isVerbose = false

  @Flag(name: .customLong("no_pbar"), help: "No progress bar.")
  var disablesProgressBar = false

  func queue(_ folders: DatasetFolders) throws -> DatasetQueue { try selection.queue(folders) }
}

/// How the fingerprint is extracted.
struct FingerprintArguments: ParsableArguments {
  static let extractorName = "DatasetFingerprintExtractor"

  @Option(
    name: .customLong("fpe", withSingleDash: true), help: "The fingerprint extractor; there is one.")
  var extractor = Self.extractorName

  @Flag(
    name: .customLong("verify_dataset_integrity"),
    help: "Check the data set first. Recommended once for each data set.")
  var verifiesIntegrity = false

  @Flag(name: .customLong("clean"), help: "Extract the fingerprint anew even if there is one.")
  var replacesExisting = false

  func validate() throws {
    guard extractor == Self.extractorName else {
      throw ValidationError("-fpe \(extractor): there is only \(Self.extractorName).")
    }
  }
}

/// Which planner makes the plans, and with which changes.
struct PlannerArguments: ParsableArguments {
  @Option(name: .customLong("pl", withSingleDash: true), help: "The experiment planner.")
  var planner = "ExperimentPlanner"

  @Option(
    name: .customLong("gpu_memory_target", withSingleDash: true),
    help: "The memory (GB) that patch and batch size are chosen for. Default: the planner's.")
  var memoryTarget: Double?

  @Option(
    name: .customLong("preprocessor_name", withSingleDash: true), help: "The preprocessor; there is one.")
  var preprocessor = "DefaultPreprocessor"

  @Option(
    name: .customLong("overwrite_target_spacing", withSingleDash: true), parsing: .upToNextOption,
    help: "Three numbers: the target spacing of 3d_fullres and 3d_cascade_fullres, in the order of the image's axes.")
  var targetSpacing: [Double] = []

  @Option(
    name: .customLong("overwrite_plans_name", withSingleDash: true),
    help: "The name of the plans. Give one whenever you change the planner's defaults.")
  var plansName: String?

  func validate() throws {
    guard targetSpacing.isEmpty || (targetSpacing.count == 3 && targetSpacing.allSatisfy { $0 > 0 && $0.isFinite })
    else {
      throw ValidationError("-overwrite_target_spacing takes three positive numbers, found \(targetSpacing).")
    }
    if let memoryTarget, !(memoryTarget > 0 && memoryTarget.isFinite) {
      throw ValidationError("-gpu_memory_target \(memoryTarget): it must be a positive number of gigabytes.")
    }
    guard preprocessor == "DefaultPreprocessor" else {
      throw ValidationError("-preprocessor_name \(preprocessor): there is only DefaultPreprocessor.")
    }
  }

  /// The planner with the options' changes.
  /// - Throws: `DatasetError` if there is no planner of the name.
  func experimentPlanner() throws -> ExperimentPlanner {
    var experimentPlanner = try ExperimentPlanner.named(planner)
    if let memoryTarget { experimentPlanner.memoryTarget = memoryTarget }
    if !targetSpacing.isEmpty { experimentPlanner.overwriteTargetSpacing = targetSpacing }
    if let plansName { experimentPlanner.plansName = plansName }
    experimentPlanner.preprocessorName = preprocessor
    return experimentPlanner
  }

  /// Plans every data set and writes its plans file.
  func plan(_ queue: inout DatasetQueue, with planner: ExperimentPlanner, folders: DatasetFolders) {
    if planner.name == "ExperimentPlanner" && !queue.names.isEmpty {
      print(
        "INFO: this is nnU-Net's old default planner. Its authors recommend nnUNetPlannerResEncM, -L or -XL (-pl) "
          + "instead, by the memory there is.")
    }
    queue.forEach { name in
      print("Planning \(name)")
      let planned = try planner.planExperiment(datasetName: name, folders: folders)
      for remark in planned.remarks { print("  \(remark)") }
      let plans = try Plans(json: .object(planned.json))
      // One of the user's own that makes no sense is reported by whoever uses it.
      for configuration in plans.configurationNames.compactMap({ try? plans.configuration(named: $0) }) {
        print("  \(configuration.summary)")
      }
      print(
        "Plans were saved to "
          + (try folders.preprocessedFolder(name).appendingPathComponent(planner.plansName + ".json").path))
    }
  }
}

extension PlannedConfiguration {
  /// What matters most, on one line.
  var summary: String {
    "\(name): spacing \(spacing), median image \(medianImageSizeInVoxels), patch \(patchSize), batch size \(batchSize)"
  }
}

extension Sequence where Element: Hashable {
  /// The elements without repetitions, in order.
  func uniqued() -> [Element] {
    var seen: Set<Element> = []
    return filter { seen.insert($0).inserted }
  }
}
