import Datasets
import GraphCompiler
import HDF5Files
import NeuralNetworks
import TensorCore
import TensorTestSupport
import Testing

/// Compiled networks against the same networks as they are.
@Suite(.serialized) struct CompiledNetworkTests {
  private static let options: CompilerOptions = {
    var options = CompilerOptions()
    options.verifiesEveryPass = true
    return options
  }()

  @Test(arguments: GoldenNetwork.names)
  func evaluationOfGoldenNetworks(_ name: String) throws {
    guard let golden = try GoldenNetwork(name) else {
      print("no golden networks beside the project: nothing is compared")
      return
    }
    let parameters = try golden.parameters()
    let x = try golden.data.activations("x")
    let compiled = CompiledForward(
      golden.network, .allHeads, batch: VariableRange(1...4),
      extents: golden.network.extentRanges(upTo: x.shape.spatial),
      options: Self.options)
    var context = ForwardContext.evaluation(parameters)
    let expected = golden.network(x, &context, deepSupervision: true)
    for _ in 0..<2 {
      let heads = compiled(x, parameters)
      #expect(heads.count == expected.count)
      for (level, (head, other)) in zip(heads, expected).enumerated() {
        expectClose(head, other, relativeToMaximum: 1e-5, "\(name) head \(level)")
      }
    }
    #expect(compiled.reports.count == 1, "\(name) was not compiled")
  }

  private struct Run {
    var parameters: ParameterSet
    var state: SGD.State
    var generator = RandomGenerator(seed: 4)
    var losses: [Float] = []
  }

  /// Twenty steps: parameters, momenta and losses stay together, dropout draws the same.
  @Test(arguments: ["plain2d", "plain3d_dropout", "resenc3d"])
  func twentyTrainingSteps(_ name: String) throws {
    guard let golden = try GoldenNetwork(name) else {
      print("no golden networks beside the project: nothing is compared")
      return
    }
    let network = golden.network
    let x = try golden.data.activations("x")
    let loss = DeepSupervisionLoss(
      loss: CompoundLoss.diceAndCrossEntropy(batchDice: false),
      weights: DeepSupervisionLoss.standardWeights(headCount: network.architecture.headStrides.count))
    let targets = network.architecture.headStrides.map { strides in
      let extents = [x.shape[0]] + zip(x.shape.spatial, strides).map { $0 / $1 }
      return TestInput.labels(Shape(extents), in: 0...Int16(network.headCount - 1))
    }
    var eager = Run(
      parameters: try golden.parameters(), state: SGD.State(parameterCount: network.layout.trainable.count))
    var compiled = eager
    let step = CompiledTrainingStep(
      network, loss: loss, optimizer: SGD(), maximumNorm: 12, batch: VariableRange(x.shape[0]...x.shape[0]),
      extents: x.shape.spatial.map { VariableRange($0...$0) }, targetChannels: nil, options: Self.options)
    for _ in 0..<20 {
      let result = network.lossAndGradients(
        of: loss, input: x, targets: targets, parameters: eager.parameters, generator: &eager.generator)
      SGD().step(
        &eager.parameters, gradients: result.gradients, state: &eager.state, learningRate: 0.001,
        gradientFactor: clippingFactor(norm: globalNorm(of: result.gradients), maximum: 12))
      eager.losses.append(result.loss)
      let other = step(
        input: x, targets: targets, parameters: &compiled.parameters, state: &compiled.state, learningRate: 0.001,
        generator: &compiled.generator)
      compiled.losses.append(other.loss)
    }
    #expect(step.reports.count == 1, "\(name) was not compiled")
    #expect(compiled.generator == eager.generator)
    #expect(zip(compiled.losses, eager.losses).allSatisfy { abs($0 - $1) <= 1e-4 * abs($1) })
    for (mine, other) in zip(compiled.parameters.namedParameters, eager.parameters.namedParameters) {
      expectClose(mine.value, other.value, relativeToMaximum: 1e-5, "\(name) \(mine.name)")
    }
    #expect(compiled.state.momenta.map { $0 == nil } == eager.state.momenta.map { $0 == nil })
  }

  /// A step whose loss is not finite changes nothing.
  @Test func aStepThatMustNotBeTaken() throws {
    let network = UNet(
      UNetArchitecture(
        kind: .plainConvUNet, dimensions: 2,
        stages: [
          .init(features: 2, kernelSize: [3, 3], stride: [1, 1], blockCount: 1),
          .init(features: 3, kernelSize: [3, 3], stride: [2, 2], blockCount: 1),
        ], decoderBlockCounts: [1]), inputChannels: 1, headCount: 2)
    var generator = RandomGenerator(seed: 1)
    var parameters = network.initialParameters(&generator)
    let before = parameters
    var state = SGD.State(parameterCount: network.layout.trainable.count)
    let step = CompiledTrainingStep(
      network, loss: DeepSupervisionLoss(loss: CompoundLoss.diceAndCrossEntropy(batchDice: true), weights: [1]),
      optimizer: SGD(), maximumNorm: 12, batch: VariableRange(1...2), extents: network.extentRanges(upTo: [8, 8]),
      targetChannels: nil, options: Self.options)
    var image = [Float](repeating: 0.5, count: 64)
    image[5] = .nan
    let result = step(
      input: Tensor(image, shape: [1, 8, 8, 1]), targets: [TestInput.labels([1, 8, 8], in: 0...1)],
      parameters: &parameters, state: &state, learningRate: 0.1, generator: &generator)
    #expect(!result.isTaken && step.reports.count == 1)
    for (old, new) in zip(before.namedParameters, parameters.namedParameters) {
      #expect(old.value.isBitwiseEqual(to: new.value), "\(old.name)")
    }
  }

  /// In steady state nothing is allocated, and memory in use stays within what was announced.
  @Test func memoryIsPlanned() throws {
    let network = UNet(
      UNetArchitecture(
        kind: .plainConvUNet, dimensions: 3,
        stages: [8, 16, 16].enumerated().map { index, features in
          .init(
            features: features, kernelSize: [3, 3, 3], stride: index == 0 ? [1, 1, 1] : [2, 2, 2], blockCount: 2)
        }, decoderBlockCounts: [2, 2]), inputChannels: 1, headCount: 3)
    var generator = RandomGenerator(seed: 1)
    var parameters = network.initialParameters(&generator)
    var state = SGD.State(parameterCount: network.layout.trainable.count)
    let step = CompiledTrainingStep(
      network, loss: DeepSupervisionLoss(loss: CompoundLoss.diceAndCrossEntropy(batchDice: true), weights: [0.7, 0.3]),
      optimizer: SGD(), maximumNorm: 12, batch: VariableRange(1...2),
      extents: network.extentRanges(upTo: [24, 24, 24]),
      targetChannels: nil, options: Self.options)
    let input = Tensor.normal(shape: [2, 24, 24, 24, 1], standardDeviation: 1, generator: &generator)
    let targets = [24, 12].map { TestInput.labels([2, $0, $0, $0], in: 0...2) }
    func run() {
      _ = step(
        input: input, targets: targets, parameters: &parameters, state: &state, learningRate: 0.01,
        generator: &generator)
    }
    for _ in 0..<3 { run() }
    let report = try #require(step.reports.first)
    let before = StoragePool.shared.statistics
    StoragePool.shared.resetPeak()
    for _ in 0..<3 { run() }
    let after = StoragePool.shared.statistics
    // Tests of other suites may run beside this one and only add.
    if after.bytesInUse == before.bytesInUse {
      #expect(after.systemAllocations == before.systemAllocations)
      let inputs = 1 << 16
      #expect(after.peakBytesInUse - before.bytesInUse <= report.peakByteCount + inputs, "\(report)")
    } else {
      print("other tests used memory at the same time: the counts are not compared")
    }
  }
}
