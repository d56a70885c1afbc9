import Datasets
import Foundation
import TensorCore

extension Trainer {
  /// Puts what prediction needs beside the folds: `plans.json`, `dataset.json`, `dataset_fingerprint.json`; and
  /// `debug.json` into the fold.
  ///
  /// nnU-Net: `nnUNetTrainer.on_train_start`.
  func prepareOutput() throws {
    removeUnfinishedFiles()
    let model = try run.modelFolder
    try run.plans.write(to: model.appendingPathComponent("plans.json"))
    try run.description.write(to: model.appendingPathComponent("dataset.json"))
    let fingerprint = try run.datasetFolder.appendingPathComponent("dataset_fingerprint.json")
    // Prediction does without it, so a data set that lost it can still be trained.
    if let data = try? Data(contentsOf: fingerprint) {
      try data.write(to: model.appendingPathComponent("dataset_fingerprint.json"), options: .atomic)
    }
    try debugInformation.write(to: outputFolder.appendingPathComponent("debug.json"))
    log.write("This is the configuration used by this training:")
    log.write("Configuration name: \(run.configurationName)")
    log.write(JSONValue.object(run.configuration.json).text(indent: 1), timestamped: false)
    log.write("Parameters: \(network.layout.trainableCount)")
  }

  /// Removes what a killed run left half written: `.NAME.*.tmp`.
  private func removeUnfinishedFiles() {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: outputFolder.path)) ?? []
    for name in names where name.hasPrefix(".checkpoint_") && name.hasSuffix(".tmp") {
      try? FileManager.default.removeItem(at: outputFolder.appendingPathComponent(name))
    }
  }

  /// What one wants to know of a run months later.
  private var debugInformation: JSONValue {
    let settings = run.settings
    let geometry = augmentation.geometry
    return [
      "trainer_name": .string(settings.name),
      "configuration_name": .string(run.configurationName),
      "plans_name": .string(run.plans.plansName),
      "dataset_name": .string(run.datasetName),
      "fold": .string("\(run.fold)"),
      "output_folder": .string(outputFolder.path),
      "num_epochs": .integer(settings.epochCount),
      "num_iterations_per_epoch": .integer(settings.iterationsPerEpoch),
      "num_val_iterations_per_epoch": .integer(settings.validationIterationsPerEpoch),
      "initial_lr": .number(settings.initialLearningRate),
      "weight_decay": .number(settings.weightDecay),
      "momentum": .number(settings.momentum),
      "oversample_foreground_percent": .number(settings.foregroundOversampling),
      "enable_deep_supervision": .bool(settings.usesDeepSupervision),
      "deep_supervision_weights": JSONValue(lossFunction.weights),
      "batch_size": .integer(run.configuration.batchSize),
      "patch_size": JSONValue(geometry.patchSize),
      "initial_patch_size": JSONValue(geometry.initialPatchSize),
      "do_dummy_2d_data_aug": .bool(geometry.usesDummy2D),
      "rotation_for_DA": JSONValue([geometry.rotation.lowerBound, geometry.rotation.upperBound]),
      "inference_allowed_mirroring_axes": JSONValue(mirroringAxes),
      "train_cases": JSONValue(split.train),
      "val_cases": JSONValue(split.val),
      "generator_keys": [
        "training_data": .string("\(generators.trainingData.key)"),
        "validation_data": .string("\(generators.validationData.key)"),
        "dropout": .string("\(generators.dropout.key)"),
      ],
      "compute_threads": .integer(WorkerPool.shared.threadCount),
      "augmentation_threads": .integer(Self.augmentationThreadCount),
      "device": "cpu",
      "hostname": .string(ProcessInfo.processInfo.hostName),
    ]
  }
}
