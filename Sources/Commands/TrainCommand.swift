import ArgumentParser
import Datasets
import Foundation
import Training

struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnUNetv2_train", abstract: "Trains one fold of a configuration, then validates it.",
    aliases: ["train"]
  )

  @Argument(help: "Dataset name or ID to train with.")
  var datasetNameOrId: String

  @Argument(help: "Configuration that should be trained.")
  var configuration: String

  @Argument(help: "Fold of the 5-fold cross-validation: a number from 0 to 4, or 'all'.")
  var fold: FoldSelection

  @Option(name: .customLong("tr", withSingleDash: true), help: "The trainer.")
  var trainer = "nnUNetTrainer"

  @Option(name: .customShort("p"), help: "The plans identifier.")
  var plans = "nnUNetPlans"

  @Option(
    name: .customLong("pretrained_weights", withSingleDash: true),
    help: "A checkpoint to start from (.h5, or .pth of nnU-Net); all weights but those of the segmentation layers.")
  var pretrainedWeights: String?

  @Option(name: .customLong("num_gpus", withSingleDash: true), help: "The number of GPUs; this build has none.")
  var gpuCount = 1

  @Flag(name: .customLong("npz"), help: "Save the softmax probabilities of the final validation as .npz files.")
  var savesProbabilities = false

  @Flag(name: .customLong("c"), help: "Continue training from the latest checkpoint.")
  var continues = false

  @Flag(name: .customLong("val"), help: "Only run the validation. Requires training to have finished.")
  var validatesOnly = false

  @Flag(
    name: .customLong("val_best"),
    help: "Validate with checkpoint_best instead of checkpoint_final. Uses the same 'validation' folder.")
  var validatesBest = false

  @Flag(name: .customLong("disable_checkpointing"), help: "Write no checkpoints.")
  var disablesCheckpointing = false

  @Option(name: .customLong("device", withSingleDash: true), help: Device.help)
  var device = Device.cpu

  @Option(
    name: .customLong("seed"),
    help: "The seed of everything random: the same seed gives the same weights, whatever the number of threads.")
  var seed: UInt64 = 12345

  func validate() throws {
    try device.requireAvailable()
    guard gpuCount <= 1 else {
      throw ValidationError("-num_gpus \(gpuCount): training on several GPUs needs CUDA, which this build has not.")
    }
    if continues && validatesOnly { throw ValidationError("--c and --val can't be given together.") }
    if validatesBest && disablesCheckpointing {
      throw ValidationError("--val_best needs checkpoints; it can't be given with --disable_checkpointing.")
    }
    if continues && pretrainedWeights != nil {
      throw ValidationError(
        "--c and -pretrained_weights can't be given together: pretrained weights are for the start of a training.")
    }
  }

  func run() throws {
    let run = try TrainingRun(
      folders: DatasetFolders(), dataset: datasetNameOrId, configuration: configuration, fold: fold, trainer: trainer,
      plansIdentifier: plans)
    InterruptRequest.install()
    let trainer = try Trainer(run, seed: seed)
    trainer.isCheckpointingDisabled = disablesCheckpointing
    if validatesOnly {
      if pretrainedWeights != nil { print("INFO: with --val nothing is trained, so -pretrained_weights has no effect") }
      try trainer.loadForValidation(best: validatesBest)
    } else {
      if continues { try trainer.resume() }
      if let pretrainedWeights { try trainer.loadPretrainedWeights(URL(fileURLWithPath: pretrainedWeights)) }
      if try trainer.train() == .interrupted {
        print(
          disablesCheckpointing
            ? "Stopped on request. Checkpoints are disabled, so this training can't be continued."
            : "Stopped on request. Continue with: nnUNetv2_train \(datasetNameOrId) \(configuration) \(fold) "
              + "-tr \(self.trainer) -p \(plans) --c")
        throw ExitCode(1)
      }
      if validatesBest { try trainer.loadForValidation(best: true) }
    }
    let validation = try trainer.validate(savingProbabilities: savesProbabilities)
    if !validation.failures.isEmpty { throw ExitCode(1) }
  }
}
