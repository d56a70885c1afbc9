import Foundation
import Inference
import ModelFormats
import NeuralNetworks
import TensorCore

extension Trainer {
  func checkpointFile(_ name: String) -> URL { outputFolder.appendingPathComponent(name + ".h5") }

  /// Writes `NAME.h5`, whole or not at all.
  func save(_ name: String) throws {
    guard !isCheckpointingDisabled else {
      log.write("No checkpoint written, checkpointing is disabled")
      return
    }
    let momenta = zip(network.layout.trainableNames, optimizerState.momenta).compactMap { name, momentum in
      momentum.map { (name: name, value: $0) }
    }
    let checkpoint = TrainingCheckpoint(
      trainerName: run.settings.name, configuration: run.configurationName, currentEpoch: progress.epoch,
      currentIteration: progress.iteration, lossesOfCurrentEpoch: progress.losses, bestEMA: progress.bestEMA,
      inferenceAllowedMirroringAxes: mirroringAxes.isEmpty ? nil : mirroringAxes,
      networkWeights: parameters.namedValues, aliases: network.layout.aliases, optimizerState: momenta,
      generators: [
        "training_data": generators.trainingData, "validation_data": generators.validationData,
        "dropout": generators.dropout,
      ], logging: progress.record.checkpointValues)
    try checkpoint.write(to: checkpointFile(name).path)
  }

  /// Goes on from the final, latest or best checkpoint, whichever comes first; from the start where there is none.
  ///
  /// nnU-Net: `maybe_load_checkpoint` with `--c`.
  public func resume() throws {
    for name in ["checkpoint_final", "checkpoint_latest", "checkpoint_best"] {
      let file = checkpointFile(name)
      guard FileManager.default.fileExists(atPath: file.path) else { continue }
      try load(file)
      log.write("Continuing from \(file.lastPathComponent): epoch \(progress.epoch), iteration \(progress.iteration)")
      return
    }
    log.write(
      "WARNING: Cannot continue training because there seems to be no checkpoint available to continue from. "
        + "Starting a new training...")
  }

  /// Takes the weights of the finished training, or of its best epoch.
  public func loadForValidation(best: Bool) throws {
    let file = checkpointFile(best ? "checkpoint_best" : "checkpoint_final")
    guard FileManager.default.fileExists(atPath: file.path) else {
      throw TrainingError.notFinished(folder: outputFolder)
    }
    try load(file)
  }

  private func load(_ file: URL) throws {
    let checkpoint = try TrainingCheckpoint(contentsOf: file.path, aliases: network.layout.aliases)
    guard checkpoint.configuration == run.configurationName else {
      throw TrainingError.incompatibleCheckpoint(
        file: file, problem: "it is of configuration \(checkpoint.configuration), not \(run.configurationName)")
    }
    parameters = try ParameterSet(layout: network.layout, loading: checkpoint.networkWeights, from: file.path)
    let momenta = Dictionary(
      checkpoint.optimizerState.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
    for (index, position) in network.layout.trainable.enumerated() {
      let entry = network.layout.entries[position]
      if let momentum = momenta[entry.name], momentum.shape != entry.shape {
        throw TrainingError.incompatibleCheckpoint(
          file: file, problem: "the momentum of \(entry.name) has shape \(momentum.shape), not \(entry.shape)")
      }
      optimizerState.momenta[index] = momenta[entry.name]
    }
    let states = checkpoint.generators
    generators.trainingData = states["training_data"] ?? generators.trainingData
    generators.validationData = states["validation_data"] ?? generators.validationData
    generators.dropout = states["dropout"] ?? generators.dropout
    progress = Progress(
      epoch: checkpoint.currentEpoch, iteration: checkpoint.currentIteration, losses: checkpoint.lossesOfCurrentEpoch,
      bestEMA: checkpoint.bestEMA, record: TrainingRecord(checkpointValues: checkpoint.logging))
    mirroringAxes = checkpoint.inferenceAllowedMirroringAxes ?? []
  }

  /// Starts from another training's weights, all but the segmentation heads.
  ///
  /// nnU-Net: `run/load_pretrained_weights.py`.
  public func loadPretrainedWeights(_ file: URL) throws {
    let state = try FoldCheckpoint(contentsOf: file).weights(aliases: parameters.layout.aliases)
    try parameters.load(state, from: file.path, keeping: { $0.contains(".seg_layers.") })
    log.write("Loaded pretrained weights from \(file.path), except the segmentation layers")
  }
}
