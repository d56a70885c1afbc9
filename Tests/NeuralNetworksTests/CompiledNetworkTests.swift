import Datasets
import GraphCompiler
import HDF5Files
import NeuralNetworks
import TensorCore
import TensorTestSupport
import Testing

/// Compiled networks against the same networks as they are.
@Suite(.serialized) struct CompiledNetworkTests {
  fileprivate static let options: CompilerOptions = {
    var options = CompilerOptions()
    options.verifiesEveryPass = true
    return options
  }()

  /// Also with slabs that cut these small networks as the usual ones cut large networks.
  @Test(arguments: GoldenNetwork.names, [SlabConvolution.standardSlabPositions, 64])
  func evaluationOfGoldenNetworks(_ name: String, _ slabPositions: Int) throws {
    guard let golden = try GoldenNetwork(name) else {
      print("no golden networks beside the project: nothing is compared")
      return
    }
    let parameters = try golden.parameters()
    let x = try golden.data.activations("x")
    var options = Self.options
    options.slabPositions = slabPositions
    let compiled = CompiledForward(
      golden.network, .allHeads, batch: VariableRange(1...4),
      extents: golden.network.extentRanges(upTo: x.shape.spatial), options: options)
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
    if slabPositions == 64 {
      #expect(compiled.graphs.first?.final.nodes.contains { $0.operation is SlabConvolution } == true, "\(name)")
    }
  }

  /// The ends of residual blocks are one operation each, compiled and, with fused layers, as they are; the same bits as
  /// step by step.
  @Test(arguments: [true, false])
  func residualBlocksEndInOnePass(_ isBottleneck: Bool) throws {
    var architecture = UNetArchitecture(
      kind: .residualEncoderUNet, dimensions: 2,
      stages: [(8, 1), (12, 2), (12, 2)].map { features, stride in
        .init(
          features: features, kernelSize: [3, 3], stride: [stride, stride], blockCount: 2,
          bottleneckFeatures: isBottleneck ? 4 : nil)
      }, decoderBlockCounts: [1, 1])
    architecture.residualBlock = isBottleneck ? .bottleneck : .basic
    let network = UNet(architecture, inputChannels: 1, headCount: 2)
    var generator = RandomGenerator(seed: 1)
    var parameters = network.initialParameters(&generator)
    // Blocks start as the identity, which would hide what their convolutions make.
    for position in parameters.layout.trainable where parameters.values[position].rank == 1 {
      parameters.values[position] = TestInput.uniform(
        parameters.values[position].shape, in: 0.5...1.5, seed: UInt64(position))
    }
    let x = TestInput.uniform([2, 32, 24, 1])
    func compiled(without disabled: Set<String>) throws -> (logits: Tensor, names: [String]) {
      var options = Self.options
      options.disabledPasses = disabled
      let forward = CompiledForward(
        network, .logits, batch: VariableRange(1...2), extents: network.extentRanges(upTo: [32, 24]),
        options: options)
      let logits = forward(x, parameters)[0]
      return (logits, try #require(forward.graphs.first).final.nodes.map { type(of: $0.operation).name })
    }
    let (fused, names) = try compiled(without: [])
    let (stepped, steps) = try compiled(without: ["residual-sums"])
    #expect(names.count { $0 == "ResidualSum" } == 6 && !names.contains("LeakyRectifier") && !names.contains("Add"))
    #expect(!names.contains("NormalizedActivation"))
    #expect(!steps.contains("ResidualSum") && steps.count { $0 == "Add" } == 6)
    #expect(fused.isBitwiseEqual(to: stepped))
    expectClose(
      network.predict(x, parameters), ReferenceArray(network.predict(x, parameters, fuses: false)), tolerance: 1e-5,
      "fused layers")
  }

  fileprivate struct Run {
    var parameters: ParameterSet
    var state: SGD.State
    var generator = RandomGenerator(seed: 4)
    var losses: [Float] = []

    /// An eager step.
    mutating func step(_ network: UNet, _ loss: DeepSupervisionLoss, _ input: Tensor, _ targets: [Tensor]) {
      let result = network.lossAndGradients(
        of: loss, input: input, targets: targets, parameters: parameters, generator: &generator)
      SGD().step(
        &parameters, gradients: result.gradients, state: &state, learningRate: 0.001,
        gradientFactor: clippingFactor(norm: globalNorm(of: result.gradients), maximum: 12))
      parameters.apply(result.bufferUpdates)
      losses.append(result.loss)
    }

    /// How far the parameters are apart: all together, relative to their norm, and the worst element.
    func difference(from other: Run) -> (relative: Double, worst: Float) {
      var (difference, size, worst) = (0.0, 0.0, Float(0))
      for (mine, other) in zip(parameters.namedParameters, other.parameters.namedParameters) {
        for (a, b) in zip(mine.value.elements(), other.value.elements()) {
          difference += Double(a - b) * Double(a - b)
          size += Double(b) * Double(b)
          // NaN counts as infinitely far.
          worst = max(worst, a == b ? 0 : abs(a - b).isNaN ? .infinity : abs(a - b))
        }
      }
      return ((difference / size).squareRoot(), worst)
    }
  }

  /// Passes that compute something in another way, with other roundings.
  private static let rounding: Set<String> = [
    "concatenation-removal", "activation-gradients", "statistics-in-epilogue", "normalized-loads",
    "multiply-accumulate",
  ]

  /// Twenty steps: parameters, momenta and losses stay together, dropout draws the same. Without the passes that round
  /// otherwise, to the bit. With them, statistics that a convolution takes while it writes are added in another order,
  /// and the last bit of some of them differs: hardly anything after one step, of which twenty with momentum 0.99 make
  /// more, as they do of any other last bit (docs/graph-compiler.md).
  @Test(arguments: ["plain2d", "plain3d_batchnorm", "plain3d_dropout", "resenc3d"], [true, false])
  func twentyTrainingSteps(_ name: String, _ isExact: Bool) throws {
    guard let golden = try GoldenNetwork(name) else {
      print("no golden networks beside the project: nothing is compared")
      return
    }
    var options = Self.options
    if isExact { options.disabledPasses = Self.rounding }
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
      extents: x.shape.spatial.map { VariableRange($0...$0) }, targetChannels: nil, options: options)
    for index in 0..<20 {
      eager.step(network, loss, x, targets)
      let other = step(
        input: x, targets: targets, parameters: &compiled.parameters, state: &compiled.state, learningRate: 0.001,
        generator: &compiled.generator)
      compiled.losses.append(other.loss)
      if index == 0 {
        let difference = compiled.difference(from: eager)
        #expect(difference.relative < 1e-8 && difference.worst < 1e-7, "\(name), one step: \(difference)")
      }
    }
    #expect(step.reports.count == 1, "\(name) was not compiled")
    #expect(compiled.generator == eager.generator)
    #expect(zip(compiled.losses, eager.losses).allSatisfy { abs($0 - $1) <= 1e-4 * abs($1) })
    for (mine, other) in zip(compiled.parameters.namedParameters, eager.parameters.namedParameters) where isExact {
      #expect(mine.value.isBitwiseEqual(to: other.value), "\(name) \(mine.name)")
    }
    let difference = compiled.difference(from: eager)
    #expect(difference.relative < 1e-5 && difference.worst < 5e-5, "\(name): \(difference)")
    for (mine, other) in zip(compiled.parameters.namedValues, eager.parameters.namedValues)
    where mine.value.elementType == .uint64 {
      #expect(mine.value.isBitwiseEqual(to: other.value), "\(name) \(mine.name)")
    }
    #expect(compiled.state.momenta.map { $0 == nil } == eager.state.momenta.map { $0 == nil })
  }

  /// Twenty steps of AdamW with AMSGrad and of Adam, without the passes that round otherwise: the same bits as eager.
  @Test(arguments: [true, false])
  func twentyStepsOfAdam(_ isDecoupled: Bool) {
    let adam = Adam(isDecayDecoupled: isDecoupled, usesLargestMoment: isDecoupled)
    let training = SmallTraining()
    var options = Self.options
    options.disabledPasses = Self.rounding
    let step = CompiledTrainingStep(
      training.network, loss: training.loss, optimizer: adam, maximumNorm: 12, batch: VariableRange(1...2),
      extents: training.network.extentRanges(upTo: [24, 24, 24]), targetChannels: nil, options: options)
    var (eager, compiled) = (training.run.parameters, training.run.parameters)
    var eagerState = Adam.State(parameterCount: training.network.layout.trainable.count)
    var compiledState = eagerState
    var (eagerGenerator, compiledGenerator) = (training.run.generator, training.run.generator)
    for index in 0..<20 {
      let rate = 3e-4 * (1 - Double(index) / 20)
      let result = training.network.lossAndGradients(
        of: training.loss, input: training.input, targets: training.targets, parameters: eager,
        generator: &eagerGenerator)
      adam.step(
        &eager, gradients: result.gradients, state: &eagerState, learningRate: rate,
        gradientFactor: clippingFactor(norm: globalNorm(of: result.gradients), maximum: 12))
      let other = step(
        input: training.input, targets: training.targets, parameters: &compiled, state: &compiledState,
        learningRate: rate, generator: &compiledGenerator)
      #expect(other.isTaken && other.loss == result.loss)
    }
    #expect(step.reports.count == 1 && eagerState.steps == compiledState.steps && eagerState.steps.contains(20))
    for (mine, other) in zip(compiled.namedParameters, eager.namedParameters) {
      #expect(mine.value.isBitwiseEqual(to: other.value), "\(mine.name)")
    }
    for (mine, other) in [
      (compiledState.firstMoments, eagerState.firstMoments), (compiledState.secondMoments, eagerState.secondMoments),
      (compiledState.largestSecondMoments, eagerState.largestSecondMoments),
    ] {
      for (a, b) in zip(mine, other) { #expect(a.map(\.bytes) == b.map(\.bytes)) }
    }
    // A batch that must not be trained on changes nothing.
    let before = (compiled, compiledState)
    let poisoned = training.input * .infinity
    let result = step(
      input: poisoned, targets: training.targets, parameters: &compiled, state: &compiledState, learningRate: 1e-3,
      generator: &compiledGenerator)
    #expect(!result.isTaken && compiledState.steps == before.1.steps)
    for (mine, other) in zip(compiled.namedParameters, before.0.namedParameters) {
      #expect(mine.value.isBitwiseEqual(to: other.value), "\(mine.name)")
    }
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

  /// A small U-Net, a batch and its labels.
  private struct SmallTraining {
    let network: UNet
    let loss = DeepSupervisionLoss(loss: CompoundLoss.diceAndCrossEntropy(batchDice: true), weights: [0.7, 0.3])
    let input: Tensor
    let targets: [Tensor]
    var run: Run

    init() {
      network = UNet(
        UNetArchitecture(
          kind: .plainConvUNet, dimensions: 3,
          stages: [8, 16, 16].enumerated().map { index, features in
            .init(
              features: features, kernelSize: [3, 3, 3], stride: index == 0 ? [1, 1, 1] : [2, 2, 2], blockCount: 2)
          }, decoderBlockCounts: [2, 2]), inputChannels: 1, headCount: 3)
      var generator = RandomGenerator(seed: 1)
      run = Run(
        parameters: network.initialParameters(&generator),
        state: SGD.State(parameterCount: network.layout.trainable.count))
      input = .normal(shape: [2, 24, 24, 24, 1], standardDeviation: 1, generator: &generator)
      targets = [24, 12].map { TestInput.labels([2, $0, $0, $0], in: 0...2) }
    }

    func compiled(_ options: CompilerOptions) -> CompiledTrainingStep<SGD> {
      CompiledTrainingStep(
        network, loss: loss, optimizer: SGD(), maximumNorm: 12, batch: VariableRange(1...2),
        extents: network.extentRanges(upTo: [24, 24, 24]), targetChannels: nil, options: options)
    }

    mutating func step(_ compiled: CompiledTrainingStep<SGD>) -> TrainingStepResult {
      compiled(
        input: input, targets: targets, parameters: &run.parameters, state: &run.state, learningRate: 0.01,
        generator: &run.generator)
    }
  }

  /// Every pass can be left out; the step stays the same.
  @Test(arguments: [nil] + Pipeline.names.map(Optional.some))
  func withoutAPass(_ name: String?) {
    var training = SmallTraining()
    let eager = training.network.lossAndGradients(
      of: training.loss, input: training.input, targets: training.targets, parameters: training.run.parameters,
      generator: &training.run.generator)
    var expected = training.run
    SGD().step(
      &expected.parameters, gradients: eager.gradients, state: &expected.state, learningRate: 0.01,
      gradientFactor: clippingFactor(norm: globalNorm(of: eager.gradients), maximum: 12))
    var options = Self.options
    options.disabledPasses = Set([name].compactMap { $0 })
    let compiled = training.compiled(options)
    let result = training.step(compiled)
    #expect(compiled.reports.count == 1 && abs(result.loss - eager.loss) < 1e-5)
    for (mine, other) in zip(training.run.parameters.namedParameters, expected.parameters.namedParameters) {
      // Biases start at zero, and before a normalisation their gradients are zero but for rounding.
      expectClose(
        mine.value, other.value, absolute: 1e-5, relativeToMaximum: 1e-5, "without \(name ?? "nothing"): \(mine.name)")
    }
  }

  /// Normalised activations and concatenations are gone: convolutions read through, and write statistics.
  @Test func whatIsLeftToRun() throws {
    var training = SmallTraining()
    let compiled = training.compiled(Self.options)
    _ = training.step(compiled)
    let graphs = try #require(compiled.graphs.first)
    func count(_ graph: Graph, _ names: String...) -> Int {
      graph.nodes.count { names.contains(type(of: $0.operation).name) }
    }
    #expect(count(graphs.traced, "InstanceNormalizationActivation") == 10)
    #expect(count(graphs.traced, "Concatenate") == 2)
    #expect(
      count(
        graphs.final, "InstanceNormalizationActivation", "NormalizedActivation", "Concatenate",
        "TransposedConvolution") == 0)
    // Of the first convolution, which reads the image.
    #expect(count(graphs.final, "ConvolutionWeightGradient") == 1)
    #expect(
      count(graphs.final, "NormalizationTerms") == 10 && count(graphs.final, "SplitConvolutionInputGradient") == 2)
  }

  /// Printed graphs and the report name what the kernels of every convolution chose, gradients included.
  @Test func algorithmsAreNamed() throws {
    var training = SmallTraining()
    let compiled = training.compiled(Self.options)
    _ = training.step(compiled)
    let (graph, report) = (try #require(compiled.graphs.first).final, try #require(compiled.reports.first))
    let convolutions = graph.nodes.filter {
      type(of: $0.operation).name.contains("Convolution") && !($0.operation is ConvolutionBiasGradient)
    }
    let lines = graph.text(algorithmsIn: .standard).split(separator: "\n")
    for (name, count) in report.algorithms {
      #expect(ConvolutionAlgorithm(rawValue: name) != nil && name != "auto")
      #expect(lines.count { $0.contains("[\(name)](") } == count && report.description.contains("\(count) \(name)"))
    }
    #expect(convolutions.count > 30 && report.algorithms.values.reduce(0, +) == convolutions.count)
    #expect(!graph.text().contains("direct"))
  }

  /// In steady state nothing is allocated, and memory in use stays within what was announced. In a process of its own,
  /// because the counts are the process'.
  @Test func memoryIsPlanned() async {
    await #expect(processExitsWith: .success) {
      var training = SmallTraining()
      let compiled = training.compiled(Self.options)
      for _ in 0..<3 { _ = training.step(compiled) }
      let report = compiled.reports[0]
      let before = StoragePool.shared.statistics
      StoragePool.shared.resetPeak()
      for _ in 0..<3 { _ = training.step(compiled) }
      let after = StoragePool.shared.statistics
      check(after.systemAllocations == before.systemAllocations, "allocated: \(before) \(after)")
      // The learning rate, the generator's state and the outputs are tensors of the call.
      let small = 1 << 12
      check(after.peakBytesInUse - before.bytesInUse <= report.peakByteCount + small, "\(after) \(report)")
    }
  }

  /// One compilation serves all extents in range, in memory that was planned for the largest.
  @Test func trainingAtSeveralShapes() {
    var training = SmallTraining()
    let compiled = training.compiled(Self.options)
    for extents in [[24, 24, 24], [16, 24, 8], [8, 8, 24]] {
      var eager = training.run
      let batch = extents[0] == 16 ? 1 : 2
      let input = TestInput.uniform(Shape([batch] + extents + [1]))
      let targets = [1, 2].map { scale in
        TestInput.labels(Shape([batch] + extents.map { $0 / scale }), in: 0...2)
      }
      let result = training.network.lossAndGradients(
        of: training.loss, input: input, targets: targets, parameters: eager.parameters, generator: &eager.generator)
      let other = compiled(
        input: input, targets: targets, parameters: &training.run.parameters, state: &training.run.state,
        learningRate: 0.01, generator: &training.run.generator)
      #expect(abs(other.loss - result.loss) < 1e-5 && other.isTaken)
      let norm = globalNorm(of: result.gradients)
      #expect(abs(other.norm - norm) < 1e-4 * norm)
    }
    #expect(compiled.reports.count == 1)
  }
}
