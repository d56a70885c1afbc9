import NeuralNetworks
import TensorCore
import TensorTestSupport
import Testing

private func tinyNetwork(_ kind: UNetArchitecture.Kind = .plainConvUNet, features: Int = 4) -> UNet {
  UNet(
    UNetArchitecture(
      kind: kind, dimensions: 2,
      stages: [
        .init(features: features, kernelSize: [3, 3], stride: [1, 1], blockCount: 2),
        .init(features: 2 * features, kernelSize: [3, 3], stride: [2, 2], blockCount: 2),
      ], decoderBlockCounts: [2], deepSupervision: true),
    inputChannels: 1, headCount: 2)
}

private func input(seed: UInt64) -> Tensor {
  var generator = RandomGenerator(seed: seed)
  return .normal(shape: [1, 16, 12, 1], standardDeviation: 1, generator: &generator)
}

@Suite struct InitializationTests {
  @Test func heNormalForEveryConvolution() {
    let network = tinyNetwork(.residualEncoderUNet, features: 24)
    var generator = RandomGenerator(seed: 3)
    let parameters = network.initialParameters(&generator)
    var compared = 0
    for (name, value) in parameters.namedParameters {
      let elements = value.elements()
      let mean = elements.reduce(0, +) / Float(elements.count)
      if name.hasSuffix("conv.weight") || name.contains("transpconvs") && name.hasSuffix("weight") {
        // PyTorch's fan-in: the second axis times the kernel, for transposed convolutions too.
        let fanIn = value.shape.extents.dropFirst().reduce(1, *)
        let expected = (2 / (1 + 0.01 * 0.01) / Float(fanIn)).squareRoot()
        let deviation = (elements.reduce(0) { $0 + $1 * $1 } / Float(elements.count)).squareRoot()
        let tolerance = 4 / Float(elements.count).squareRoot()
        #expect(abs(deviation / expected - 1) < tolerance, "\(name)")
        #expect(abs(mean / expected) < tolerance, "\(name)")
        #expect(elements.map { abs($0) }.max() ?? 0 > 2 * expected)
        compared += 1
      } else if name.hasSuffix("bias") {
        #expect(elements.allSatisfy { $0 == 0 }, "\(name)")
      } else if name.contains("conv2.norm.weight") {
        #expect(elements.allSatisfy { $0 == 0 }, "\(name)")
      } else if name.hasSuffix("norm.weight") {
        #expect(elements.allSatisfy { $0 == 1 }, "\(name)")
      }
    }
    #expect(compared == 13)
  }

  @Test func sameSeedSameNumbers() {
    let network = tinyNetwork()
    var (a, b, c) = (RandomGenerator(seed: 1), RandomGenerator(seed: 1), RandomGenerator(seed: 2))
    let (first, second, third) = (
      network.initialParameters(&a), network.initialParameters(&b), network.initialParameters(&c)
    )
    #expect(a == b)
    for ((x, y), z) in zip(zip(first.namedValues, second.namedValues), third.namedValues) {
      #expect(x.value.isBitwiseEqual(to: y.value))
      if x.name.hasSuffix("conv.weight") { #expect(!x.value.isBitwiseEqual(to: z.value)) }
    }
  }
}

@Suite struct StrictLoadingTests {
  private let network = tinyNetwork()
  private var parameters: ParameterSet {
    var generator = RandomGenerator(seed: 5)
    return network.initialParameters(&generator)
  }

  @Test func completeAndShortDictionariesLoad() throws {
    let own = parameters
    for state in [own.stateDictionary, own.namedValues, own.stateDictionary.map { ("module." + $0.name, $0.value) }] {
      let loaded = try ParameterSet(layout: network.layout, loading: state, from: "a.h5")
      for (a, b) in zip(own.namedValues, loaded.namedValues) { #expect(a.value.isBitwiseEqual(to: b.value)) }
    }
  }

  @Test func everyDifferenceIsListed() throws {
    var state = parameters.namedValues.map { (name: $0.name, value: $0.value) }
    state.removeAll { $0.name == "decoder.seg_layers.0.bias" }
    state.append((name: "decoder.extra.weight", value: Tensor(zeros: [1])))
    let index = try #require(state.firstIndex { $0.name == "encoder.stages.1.0.convs.0.conv.weight" })
    state[index].value = Tensor(zeros: [8, 4, 3, 1])
    state.append((name: "encoder.stages.0.0.convs.0.all_modules.0.weight", value: Tensor(zeros: [4, 1, 3, 3])))
    let error = try #require(throws: StateLoadingError.self) {
      try ParameterSet(layout: network.layout, loading: state, from: "fold_0/checkpoint_final.h5")
    }
    #expect(error.missing == ["decoder.seg_layers.0.bias"])
    #expect(error.unused == ["decoder.extra.weight"])
    #expect(error.misshaped.map(\.name) == ["encoder.stages.1.0.convs.0.conv.weight"])
    #expect(error.contradicting.map(\.alias) == ["encoder.stages.0.0.convs.0.all_modules.0.weight"])
    for part in ["fold_0/checkpoint_final.h5", "seg_layers.0.bias", "decoder.extra", "[8, 4, 3, 1]"] {
      #expect(error.description.contains(part), "\(error)")
    }
  }

  @Test func pretrainedWeightsKeepSegmentationHeads() throws {
    var generator = RandomGenerator(seed: 9)
    var target = network.initialParameters(&generator)
    let before = target
    let source = parameters
    let state = source.stateDictionary.filter { !$0.name.contains(".seg_layers.") }
    try target.load(state, from: "pretrained.h5", keeping: { $0.contains(".seg_layers.") })
    for (index, entry) in network.layout.entries.enumerated() {
      let expected = entry.name.contains(".seg_layers.") ? before.values[index] : source.values[index]
      #expect(target.values[index].isBitwiseEqual(to: expected), "\(entry.name)")
    }
  }

  @Test func aFailedLoadChangesNothing() {
    var target = parameters
    let before = target
    let state = [(name: "decoder.seg_layers.0.bias", value: Tensor([7, 7] as [Float], shape: [2]))]
    #expect(throws: StateLoadingError.self) { try target.load(state, from: "x", keeping: { _ in false }) }
    for (a, b) in zip(before.values, target.values) { #expect(a.isBitwiseEqual(to: b)) }
  }
}

/// Parameters are values: what happens to one set never reaches another or a prediction already made.
@Suite struct ParameterValueTests {
  @Test func severalFoldsServeOneNetwork() throws {
    let network = tinyNetwork(.residualEncoderUNet)
    let folds = (0..<3).map { fold in
      var generator = RandomGenerator(seed: UInt64(fold))
      return network.initialParameters(&generator)
    }
    let cases = [input(seed: 11), input(seed: 12)]
    let fresh = folds.map { fold in cases.map { network.predict($0, fold) } }
    var current = folds[0]
    for _ in 0..<2 {
      for (fold, parameters) in folds.enumerated() {
        try current.load(parameters.stateDictionary, from: "fold \(fold)", keeping: { _ in false })
        for (number, x) in cases.enumerated() {
          #expect(network.predict(x, current).isBitwiseEqual(to: fresh[fold][number]))
        }
      }
    }
  }

  @Test func trainingASharedSetLeavesTheOther() {
    let network = tinyNetwork()
    var generator = RandomGenerator(seed: 4)
    var trained = network.initialParameters(&generator)
    let kept = trained
    let before = kept.values.map { Tensor($0.elements(), shape: $0.shape) }
    let x = input(seed: 2)
    let predicted = network.predict(x, kept)
    var labels = RandomGenerator(seed: 8)
    let target = Tensor((0..<192).map { _ in Int16(labels.next() % 2) }, shape: [1, 16, 12])
    let loss = DeepSupervisionLoss(loss: CompoundLoss.diceAndCrossEntropy(batchDice: false), weights: [1])
    let optimizer = SGD()
    var state = SGD.State(parameterCount: network.layout.trainable.count)
    for _ in 0..<3 {
      let step = network.lossAndGradients(
        of: loss, input: x, targets: [target], parameters: trained, generator: &generator)
      optimizer.step(&trained, gradients: step.gradients, state: &state, learningRate: 0.01)
    }
    for (a, b) in zip(before, kept.values) { #expect(a.isBitwiseEqual(to: b)) }
    #expect(network.predict(x, kept).isBitwiseEqual(to: predicted))
    #expect(!network.predict(x, trained).isBitwiseEqual(to: predicted))
  }

  @Test func mutatingWhatATapeFollowsDoesNotReachIt() {
    let network = tinyNetwork()
    var generator = RandomGenerator(seed: 4)
    let parameters = network.initialParameters(&generator)
    let x = input(seed: 2)
    func gradients(mutating: Bool) -> [Tensor?] {
      let target = Tensor([Int16](repeating: 1, count: 192), shape: [1, 16, 12])
      var own = parameters
      let before = network.lossAndGradients(
        of: DeepSupervisionLoss(loss: CrossEntropyLoss(), weights: [1]), input: x, targets: [target],
        parameters: own, generator: &generator)
      if mutating {
        for index in own.values.indices {
          own.values[index].withMutableElements(as: Float.self) { $0.update(repeating: 100) }
        }
      }
      return before.gradients
    }
    for (a, b) in zip(gradients(mutating: false), gradients(mutating: true)) {
      guard let a, let b else {
        #expect(a == nil && b == nil)
        continue
      }
      #expect(a.isBitwiseEqual(to: b))
    }
  }

  @Test func anOptimizerStepAllocatesNothingInSteadyState() {
    let network = tinyNetwork(features: 32)
    var generator = RandomGenerator(seed: 4)
    var parameters = network.initialParameters(&generator)
    let gradients = parameters.namedParameters.map { Optional($0.value) }.map {
      $0.map { Tensor($0.elements(), shape: $0.shape) }
    }
    var state = SGD.State(parameterCount: gradients.count)
    SGD().step(&parameters, gradients: gradients, state: &state, learningRate: 0.01)
    let storages = parameters.values.map { ObjectIdentifier($0.storage) }
    SGD().step(&parameters, gradients: gradients, state: &state, learningRate: 0.01)
    #expect(storages == parameters.values.map { ObjectIdentifier($0.storage) })
  }

  /// In a process of its own, because memory is pooled for the whole process.
  @Test func repeatedStepsTakeNoNewMemory() async {
    await #expect(processExitsWith: .success) {
      for kind in UNetArchitecture.Kind.allCases {
        let network = tinyNetwork(kind, features: 8)
        var generator = RandomGenerator(seed: 4)
        var parameters = network.initialParameters(&generator)
        var state = SGD.State(parameterCount: network.layout.trainable.count)
        let (x, target) = (input(seed: 1), Tensor([Int16](repeating: 1, count: 192), shape: [1, 16, 12]))
        let loss = DeepSupervisionLoss(loss: CompoundLoss.diceAndCrossEntropy(batchDice: true), weights: [1])
        var allocations: [Int] = []
        for _ in 0..<6 {
          let step = network.lossAndGradients(
            of: loss, input: x, targets: [target], parameters: parameters, generator: &generator)
          SGD().step(&parameters, gradients: step.gradients, state: &state, learningRate: 0.01)
          _ = network.predict(x, parameters)
          allocations.append(StoragePool.shared.statistics.systemAllocations)
        }
        check(allocations[2] == allocations[5], "memory taken from the system after each step: \(allocations)")
      }
    }
  }

  /// Evaluation lets go of what it has used: of full-resolution activations, two and what joins two are held at once.
  @Test func evaluationHoldsFewActivations() async {
    await #expect(processExitsWith: .success) {
      let network = tinyNetwork(features: 16)
      var generator = RandomGenerator(seed: 4)
      let parameters = network.initialParameters(&generator)
      // Large enough that the working memory of convolutions, which does not grow with the image, hardly counts.
      let x = Tensor(zeros: [1, 512, 512, 1])
      _ = network.predict(x, parameters)
      let before = StoragePool.shared.statistics.bytesInUse
      StoragePool.shared.resetPeak()
      _ = network.predict(x, parameters)
      let activation = 512 * 512 * 16 * 4
      let peak = StoragePool.shared.statistics.peakBytesInUse - before
      check(peak < 9 * activation / 2, "\(Double(peak) / Double(activation)) activations held at once")
    }
  }
}
