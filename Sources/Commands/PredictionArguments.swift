import ArgumentParser
import Foundation
import Inference
import Training

/// The options that both predict commands share.
struct PredictionArguments: ParsableArguments {
  @Option(
    name: .customShort("i"),
    help: "Input folder. Files need channel numbers (CASE_0000...) and the file ending of the training data.")
  var input: String

  @Option(name: .customShort("o"), help: "Output folder; made if it does not exist.")
  var output: String

  @Option(
    name: .customShort("f"), parsing: .upToNextOption,
    help: "The folds whose mean is the prediction: numbers, or 'all'.")
  var folds: [String] = ["0", "1", "2", "3", "4"]

  @Option(
    name: .customLong("step_size", withSingleDash: true),
    help: "How far neighbouring tiles lie apart, as a part of the patch; at most 1.")
  var stepSize = 0.5

  @Flag(name: .customLong("disable_tta"), help: "No mirroring: up to 8 times faster, a little less accurate.")
  var disablesMirroring = false

  @Flag(name: .customLong("verbose"), help: "Print the times of every stage of every case.")
  var isVerbose = false

  @Flag(name: .customLong("save_probabilities"), help: "Also write probabilities (.npz, .pkl), for ensembling.")
  var savesProbabilities = false

  @Flag(
    name: [.customLong("continue_prediction"), .customLong("c")],
    help: "Keep existing results and predict only what is missing.")
  var continues = false

  @Option(
    name: .customLong("chk", withSingleDash: true),
    help: "The checkpoint's name. Where there is no such file, the same name with .h5 or .pth is taken.")
  var checkpoint = "checkpoint_final.pth"

  @Option(
    name: .customLong("npp", withSingleDash: true),
    help:
      "How many cases are read and preprocessed at a time. Default: nnUNet_npp, else 3; with -nps 0 too, one by one.")
  var preprocessingThreads: Int?

  @Option(
    name: .customLong("nps", withSingleDash: true),
    help: "How many cases are exported at a time. Default: nnUNet_nps, else 3.")
  var exportThreads: Int?

  @Option(
    name: .customLong("prev_stage_predictions", withSingleDash: true),
    help: "Folder with the predictions of the previous stage. Required for cascades.")
  var previousStagePredictions: String?

  @Option(name: .customLong("device", withSingleDash: true), help: Device.help)
  var device = Device.cpu

  @Flag(name: .customLong("disable_progress_bar"), help: "No progress bar.")
  var disablesProgressBar = false

  @Flag(
    name: .customLong("not_on_device"),
    help: "Keep intermediate results out of the device's memory; on the CPU, the only device here, they always are.")
  var notOnDevice = false

  @Option(
    name: .customLong("memory_limit"),
    help: ArgumentHelp(
      "How much memory the cases on their way may take together by estimate, in gigabytes (10^9 bytes): cases wait for "
        + "room, and a case that can't fit alone is refused. Default: nnUNet_memory_limit, else nine tenths of what the "
        + "system and the control group have available.", valueName: "GB"))
  var memoryLimit: Double?

  @Flag(
    name: .customLong("reference_precision"),
    help: ArgumentHelp(
      "Round intermediate results to 16 bits step by step as nnU-Net does, with direct convolutions and its order of "
        + "operations, to reproduce its results exactly. Slower."))
  var usesReferencePrecision = false

  func validate() throws {
    try device.requireAvailable()
    guard stepSize > 0 && stepSize <= 1 else {
      throw ValidationError("-step_size \(stepSize): it must be above 0 and at most 1.")
    }
    guard preprocessingThreads ?? 0 >= 0, exportThreads ?? 0 >= 0 else {
      throw ValidationError("-npp and -nps can't be negative.")
    }
    guard memoryLimit ?? 1 > 0, memoryLimit ?? 1 < 1e9 else {
      throw ValidationError("--memory_limit: give a positive number of gigabytes.")
    }
    for fold in folds where fold != "all" && Int(fold) == nil {
      throw ValidationError("-f \(fold): a fold is a number or 'all'.")
    }
  }

  /// Predicts; ends with exit code 1 if a case failed or the run was interrupted.
  func predict(modelFolder: URL, partCount: Int, part: Int) throws {
    let environment = ProcessInfo.processInfo.environment
    func threads(_ given: Int?, _ variable: String) -> Int {
      given ?? environment[variable].flatMap(Int.init).flatMap { $0 >= 0 ? $0 : nil } ?? 3
    }
    let predictor = try Predictor(
      modelFolder: modelFolder, folds: folds, checkpointName: checkpoint,
      options: PredictionOptions(
        stepSize: stepSize, usesMirroring: !disablesMirroring,
        precision: usesReferencePrecision ? .reference : .float32))
    let run = try PredictionRun(
      predictor: predictor,
      settings: .init(
        inputFolder: URL(fileURLWithPath: input), outputFolder: URL(fileURLWithPath: output),
        savesProbabilities: savesProbabilities, overwrites: !continues,
        preprocessingThreads: threads(preprocessingThreads, "nnUNet_npp"),
        exportThreads: threads(exportThreads, "nnUNet_nps"),
        previousStageFolder: previousStagePredictions.map { URL(fileURLWithPath: $0) }, partCount: partCount,
        part: part, memoryLimit: memoryLimit.map { Int($0 * 1e9) }))
    let cancellation = Cancellation()
    InterruptRequest.whenRequested {
      FileHandle.standardError.write(Data("\nStopping; finished cases are kept. Once more to stop at once.\n".utf8))
      cancellation.cancel()
    }
    let display = PredictionDisplay(showsBar: !disablesProgressBar, isVerbose: isVerbose)
    let report = try run.run(progress: display, cancellation: cancellation)
    if !report.isComplete { throw ExitCode(1) }
  }
}
