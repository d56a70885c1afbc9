import GraphCompiler
import Logging
import NeuralNetworks
import TensorCore

/// What a trainer computes with its network, compiled for the plan's batch and patch.
struct CompiledTraining: Sendable {
  let step: CompiledTrainingStep<SGD>
  /// The logits of all heads that the loss knows.
  let evaluation: CompiledForward

  /// `nil` where `nnUNet_compile` turns compilation off.
  /// - Parameter logger: told how the functions were compiled, and what memory they take.
  init?(_ run: TrainingRun, network: UNet, loss: DeepSupervisionLoss, optimizer: SGD, logger: Logger) {
    guard CompilerOptions.fromEnvironment.isEnabled else { return nil }
    let batch = VariableRange(run.configuration.batchSize...run.configuration.batchSize)
    let extents = run.configuration.patchSize.map { VariableRange($0...$0) }
    let labels = run.labels
    step = CompiledTrainingStep(
      network, loss: loss, optimizer: optimizer, maximumNorm: run.settings.gradientNormLimit, batch: batch,
      extents: extents,
      targetChannels: labels.hasRegions ? labels.foregroundRegions.count + (labels.hasIgnoreLabel ? 1 : 0) : nil,
      logger: logger)
    evaluation = CompiledForward(
      network, loss.weights.count > 1 ? .allHeads : .logits, batch: batch, extents: extents,
      logger: logger)
  }

  /// Compiles, so that the peak of memory is known before the first step.
  func prepare() {
    step.prepare()
    evaluation.prepare()
  }
}
