import GraphCompiler
import NeuralNetworks
import TensorCore

/// Networks of the reference's benchmark, with the same shapes.
private func architecture(
  _ kind: UNetArchitecture.Kind, features: [Int], dimensions: Int, blocks: [Int], decoderBlocks: Int,
  deepSupervision: Bool
) -> UNetArchitecture {
  let stages = features.enumerated().map { index, features in
    UNetArchitecture.Stage(
      features: features, kernelSize: Array(repeating: 3, count: dimensions),
      stride: Array(repeating: index == 0 ? 1 : 2, count: dimensions), blockCount: blocks[index])
  }
  return UNetArchitecture(
    kind: kind, dimensions: dimensions, stages: stages,
    decoderBlockCounts: Array(repeating: decoderBlocks, count: stages.count - 1), deepSupervision: deepSupervision)
}

private func plain(_ features: [Int], dimensions: Int, deepSupervision: Bool) -> UNetArchitecture {
  architecture(
    .plainConvUNet, features: features, dimensions: dimensions, blocks: features.map { _ in 2 }, decoderBlocks: 2,
    deepSupervision: deepSupervision)
}

private let features3D = [32, 64, 128, 256, 320, 320]
private let features2D = [32, 64, 128, 256, 512, 512, 512, 512]
private let classCount = 3

private func normal(_ shape: Shape, _ generator: inout RandomGenerator) -> Tensor {
  Tensor(
    (0..<shape.count).map { _ in
      // Three uniform numbers: near enough to normal for timing, and without logarithms.
      (generator.uniform() + generator.uniform() + generator.uniform() - 1.5) * 2
    }, shape: shape)
}

private func options(_ mode: Mode) -> CompilerOptions {
  var options = CompilerOptions.fromEnvironment
  options.isEnabled = mode.compiles
  return options
}

private func forward(_ name: String, _ architecture: UNetArchitecture, shape: Shape) -> Workload {
  Workload(name: name) { mode in
    var generator = RandomGenerator(seed: 0)
    var network = UNet(architecture, inputChannels: shape.channels, headCount: classCount)
    var parameters = network.initialParameters(&generator)
    if mode == .fused || mode == .prediction {
      network.convolutionAlgorithm = .forPrediction
      parameters = parameters.preparedForPrediction()
    }
    let input = normal(shape, &generator)
    let operations = network.convolutionOperations(
      extents: shape.spatial, batchSize: shape[0], deepSupervision: false)
    let compiled = CompiledForward(
      network, .logits, batch: VariableRange(shape[0]...shape[0]),
      extents: shape.spatial.map { VariableRange($0...$0) }, options: options(mode))
    return PreparedWorkload(gflop: operations / 1e9) {
      let logits =
        mode.compiles
        ? compiled(input, parameters)[0]
        : network.predict(input, parameters, fuses: mode == .fused)
      guard logits.withElements(as: Float.self, { $0.allSatisfy(\.isFinite) }) else {
        throw WrongResult(description: "\(name): the logits are not finite")
      }
    }
  }
}

let forwardWorkloads = [
  forward("forward-3d-128", plain(features3D, dimensions: 3, deepSupervision: false), shape: [1, 128, 128, 128, 1]),
  forward("forward-2d-512", plain(features2D, dimensions: 2, deepSupervision: false), shape: [4, 512, 512, 1]),
  forward(
    "forward-resenc-m-128",
    architecture(
      .residualEncoderUNet, features: features3D, dimensions: 3, blocks: [1, 3, 4, 6, 6, 6], decoderBlocks: 1,
      deepSupervision: false),
    shape: [1, 128, 128, 128, 1]),
]

/// What one training step changes.
private final class TrainingState {
  var parameters: ParameterSet
  var optimizerState: SGD.State
  var generator: RandomGenerator

  init(_ network: UNet) {
    generator = RandomGenerator(seed: 0)
    parameters = network.initialParameters(&generator)
    optimizerState = SGD.State(parameterCount: network.layout.trainable.count)
  }
}

private func training(
  _ name: String, _ architecture: UNetArchitecture, shape: Shape, batchDice: Bool
) -> Workload {
  Workload(name: name) { mode in
    let network = UNet(architecture, inputChannels: shape.channels, headCount: classCount)
    let state = TrainingState(network)
    let input = normal(shape, &state.generator)
    let weights = DeepSupervisionLoss.standardWeights(headCount: architecture.stages.count - 1)
    let loss = DeepSupervisionLoss(loss: CompoundLoss.diceAndCrossEntropy(batchDice: batchDice), weights: weights)
    let targets = architecture.headStrides.map { strides in
      let extents = [shape[0]] + zip(shape.spatial, strides).map { $0 / $1 }
      let count = extents.reduce(1, *)
      return Tensor(
        (0..<count).map { _ in Int16(state.generator.next() % UInt64(classCount)) }, shape: Shape(extents))
    }
    let operations = network.convolutionOperations(extents: shape.spatial, batchSize: shape[0], deepSupervision: true)
    let compiled = CompiledTrainingStep(
      network, loss: loss, optimizer: SGD(), maximumNorm: 12, batch: VariableRange(shape[0]...shape[0]),
      extents: shape.spatial.map { VariableRange($0...$0) }, targetChannels: nil, options: options(mode))
    return PreparedWorkload(gflop: 3 * operations / 1e9) {
      if mode.compiles {
        let result = compiled(
          input: input, targets: targets, parameters: &state.parameters, state: &state.optimizerState,
          learningRate: 0.01, generator: &state.generator)
        guard result.isTaken else {
          throw WrongResult(description: "\(name): loss \(result.loss), norm \(result.norm)")
        }
        return
      }
      let result = network.lossAndGradients(
        of: loss, input: input, targets: targets, parameters: state.parameters, generator: &state.generator)
      let norm = globalNorm(of: result.gradients)
      guard result.loss.isFinite, norm.isFinite else {
        throw WrongResult(description: "\(name): the loss is \(result.loss), its gradient's norm \(norm)")
      }
      SGD().step(
        &state.parameters, gradients: result.gradients, state: &state.optimizerState, learningRate: 0.01,
        gradientFactor: clippingFactor(norm: norm, maximum: 12))
    }
  }
}

let trainingWorkloads = [
  training(
    "train-step-hippocampus", plain([32, 64, 128, 256], dimensions: 3, deepSupervision: true),
    shape: [9, 40, 56, 40, 1], batchDice: false),
  training(
    "train-step-2d", plain(features2D, dimensions: 2, deepSupervision: true), shape: [4, 512, 512, 1],
    batchDice: true),
  training(
    "train-step-hippocampus-small", plain([16, 32, 64, 128], dimensions: 3, deepSupervision: true),
    shape: [2, 40, 56, 40, 1], batchDice: false),
]
