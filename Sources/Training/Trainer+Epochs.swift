import Foundation
import NeuralNetworks
import TensorCore

/// How a training ended.
public enum TrainingOutcome: Sendable, Hashable {
  case finished
  /// The user asked to stop; `checkpoint_latest` holds everything unless checkpoints are disabled.
  case interrupted
}

extension Trainer {
  /// Trains from where the trainer stands to the last epoch, and writes checkpoints, log and curves.
  ///
  /// - Throws: `TrainingError`; what was written before stays.
  public func train() throws -> TrainingOutcome {
    try prepareOutput()
    let settings = run.settings
    if let compiled, progress.epoch < settings.epochCount {
      log.progress("compiling the training step")
      compiled.prepare()
    }
    let trainingBatches = batches(
      of: split.train, augmented: true, generator: generators.trainingData,
      first: progress.epoch * settings.iterationsPerEpoch + progress.iteration)
    let validationBatches = batches(
      of: split.val, augmented: false, generator: generators.validationData,
      first: progress.epoch * settings.validationIterationsPerEpoch)
    defer {
      trainingBatches.stop()
      validationBatches.stop()
    }
    while progress.epoch < settings.epochCount {
      guard try trainEpoch(trainingBatches, validationBatches) == .finished else { return .interrupted }
    }
    // Like nnU-Net, whose final checkpoint replaces the latest.
    try save("checkpoint_final")
    if !isCheckpointingDisabled {
      try? FileManager.default.removeItem(at: checkpointFile("checkpoint_latest"))
    }
    log.write("Training done.")
    return .finished
  }

  private func trainEpoch(
    _ trainingBatches: Prefetcher<BatchMaker.Batch>, _ validationBatches: Prefetcher<BatchMaker.Batch>
  ) throws -> TrainingOutcome {
    let settings = run.settings
    let rate = schedule.rate(at: progress.epoch)
    let start = Date().timeIntervalSince1970
    // An epoch that goes on after a checkpoint in its middle was already announced.
    if progress.iteration == 0 {
      log.write("")
      log.write("Epoch \(progress.epoch)")
      log.write("Current learning rate: \(Self.rounded(rate, 5))")
      progress.record.learningRates.append(rate)
      progress.record.epochStartTimestamps.append(start)
    }
    var waited = 0.0
    log.progress("epoch \(progress.epoch)/\(settings.epochCount)  iteration \(progress.iteration + 1)")
    while progress.iteration < settings.iterationsPerEpoch {
      let (batch, seconds) = try trainingBatches.next()
      waited += seconds
      let loss = try step(batch, rate: rate)
      progress.losses.append(loss)
      progress.iteration += 1
      let elapsed = Date().timeIntervalSince1970 - start
      log.progress(
        Self.progressLine(
          epoch: progress.epoch, of: settings.epochCount, iteration: progress.iteration,
          of: settings.iterationsPerEpoch, loss: loss, elapsed: elapsed))
      if isStopRequested() {
        try save("checkpoint_latest")
        return .interrupted
      }
    }
    var dice = PseudoDice(labels: run.labels)
    var validationLosses: [Float] = []
    for iteration in 0..<settings.validationIterationsPerEpoch {
      log.progress(
        "epoch \(progress.epoch)/\(settings.epochCount)  validation \(iteration + 1)/"
          + "\(settings.validationIterationsPerEpoch)")
      let (batch, seconds) = try validationBatches.next()
      waited += seconds
      validationLosses.append(validate(batch, into: &dice))
      if isStopRequested() { break }
    }
    guard validationLosses.count == settings.validationIterationsPerEpoch else {
      // Resuming repeats the validation of this epoch, which changes nothing.
      try save("checkpoint_latest")
      return .interrupted
    }
    progress.record.trainLosses.append(Self.mean(progress.losses))
    progress.record.validationLosses.append(Self.mean(validationLosses))
    progress.record.appendDice(dice.perClass)
    try finishEpoch(waited: waited, elapsed: Date().timeIntervalSince1970 - start)
    return .finished
  }

  /// One optimizer step; nnU-Net: `nnUNetTrainer.train_step`.
  private func step(_ batch: BatchMaker.Batch, rate: Double) throws -> Float {
    if let compiled {
      let result = compiled.step(
        input: batch.images, targets: batch.targets, parameters: &parameters, state: &optimizerState,
        learningRate: rate, generator: &generators.dropout)
      guard result.isTaken else { throw lossNotFinite(result.loss, batch) }
      return result.loss
    }
    let result = network.lossAndGradients(
      of: lossFunction, input: batch.images, targets: batch.targets, parameters: parameters,
      generator: &generators.dropout)
    let norm = globalNorm(of: result.gradients)
    guard result.loss.isFinite, norm.isFinite else {
      throw lossNotFinite(result.loss, batch)
    }
    optimizer.step(
      &parameters, gradients: result.gradients, state: &optimizerState, learningRate: rate,
      gradientFactor: clippingFactor(norm: norm, maximum: run.settings.gradientNormLimit))
    parameters.apply(result.bufferUpdates)
    return result.loss
  }

  private func lossNotFinite(_ loss: Float, _ batch: BatchMaker.Batch) -> TrainingError {
    .lossNotFinite(epoch: progress.epoch, iteration: progress.iteration, loss: loss, cases: batch.cases)
  }

  /// The loss of a validation batch; its counts go to `dice`. nnU-Net: `nnUNetTrainer.validation_step`.
  private func validate(_ batch: BatchMaker.Batch, into dice: inout PseudoDice) -> Float {
    let heads: [Tensor]
    if let compiled {
      heads = compiled.evaluation(batch.images, parameters)
    } else {
      var context = ForwardContext.evaluation(parameters)
      heads = network(batch.images, &context, deepSupervision: lossFunction.weights.count > 1)
    }
    dice.add(logits: heads[0], target: batch.targets[0])
    return lossFunction(heads, batch.targets).scalar()
  }

  /// nnU-Net: `nnUNetTrainer.on_epoch_end`.
  private func finishEpoch(waited: Double, elapsed: Double) throws {
    let record = progress.record
    progress.record.epochEndTimestamps.append(Date().timeIntervalSince1970)
    log.write("train_loss \(Self.rounded(record.trainLosses.last ?? .nan, 4))")
    log.write("val_loss \(Self.rounded(record.validationLosses.last ?? .nan, 4))")
    log.write("Pseudo dice [\((record.dicePerClass.last ?? []).map { Self.rounded($0, 4) }.joined(separator: ", "))]")
    log.write("Epoch time: \(Self.rounded(elapsed, 2)) s")
    log.write("Waited for data: \(Self.rounded(waited, 2)) s")
    progress.epoch += 1
    progress.iteration = 0
    progress.losses = []
    let ema = record.emaForegroundDice.last ?? .nan
    if progress.bestEMA.map({ ema > $0 }) ?? true {
      progress.bestEMA = ema
      log.write("Yayy! New best EMA pseudo Dice: \(Self.rounded(ema, 4))")
      try save("checkpoint_best")
    }
    // After every epoch and not only every fiftieth as in nnU-Net: a lost day is dearer than a second of writing.
    if progress.epoch < run.settings.epochCount { try save("checkpoint_latest") }
    do {
      try progress.record.plot(to: outputFolder.appendingPathComponent("progress.png"))
    } catch {
      log.write("WARNING: progress.png was not written: \(error)")
    }
  }

  private static func mean(_ values: [Float]) -> Double {
    values.isEmpty ? .nan : values.reduce(0) { $0 + Double($1) } / Double(values.count)
  }

  static func rounded(_ value: Double, _ digits: Int) -> String {
    guard value.isFinite else { return value.isNaN ? "nan" : "\(value)" }
    let factor = pow(10, Double(digits))
    return "\((value * factor).rounded(.toNearestOrEven) / factor)"
  }

  private static func progressLine(
    epoch: Int, of epochs: Int, iteration: Int, of iterations: Int, loss: Float, elapsed: Double
  ) -> String {
    let perIteration = elapsed / Double(iteration)
    let left = Int(perIteration * Double(iterations - iteration))
    return String(
      format: "epoch %d/%d  iteration %d/%d  loss %.4f  %.2f s/it  %d:%02d left in this epoch", epoch, epochs,
      iteration, iterations, loss, perIteration, left / 60, left % 60)
  }
}
