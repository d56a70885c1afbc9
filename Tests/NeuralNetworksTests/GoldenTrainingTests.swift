import Datasets
import Foundation
import HDF5Files
import NeuralNetworks
import TensorCore
import TensorTestSupport
import Testing

/// Real training steps of nnU-Net's trainer, repeated.
@Suite struct GoldenTrainingTests {
  @Test(arguments: ["labels3d", "regions_ignore2d"])
  func stepsOfTheTrainer(_ name: String) throws {
    guard let folder = Golden.folder("training/\(name)") else { return }
    let meta = try JSONValue(contentsOf: folder.appendingPathComponent("meta.json"))
    let plans = try JSONValue(contentsOf: folder.appendingPathComponent("plans.json"))
    let data = try HDF5File.open(folder.appendingPathComponent("data.h5").path).root
    let configuration = try #require(meta["configuration"]?.string)
    let architecture = try UNetArchitecture(
      json: #require(plans["configurations"]?[configuration]?["architecture"]), deepSupervision: true)
    let hasRegions = name.hasPrefix("regions")
    let heads = try data.shape(of: "state_dict_initial/decoder.seg_layers.0.bias")[0]
    let channels = try data.shape(of: "batches/0/data")[1]
    let network = UNet(architecture, inputChannels: channels, headCount: heads)
    #expect(network.layout.trainableNames == meta["parameter_order"]?.array?.compactMap(\.string))
    var parameters = try ParameterSet(
      layout: network.layout, loading: data.group("state_dict_initial").stateDictionary(), from: name)

    let batchDice = meta["batch_dice"] == .bool(true)
    let weights = DeepSupervisionLoss.standardWeights(headCount: architecture.stages.count - 1)
    #expect(weights == meta["deep_supervision_weights"]?.array?.compactMap(\.double))
    let loss = DeepSupervisionLoss(
      loss: hasRegions
        ? CompoundLoss.diceAndBinaryCrossEntropy(batchDice: batchDice, hasIgnoreChannel: true)
        : CompoundLoss.diceAndCrossEntropy(batchDice: batchDice), weights: weights)
    func targets(_ batch: String) throws -> [Tensor] {
      try weights.indices.map {
        try hasRegions ? data.regions("\(batch)/target/\($0)") : data.labels("\(batch)/target/\($0)")
      }
    }
    let schedule = PolynomialSchedule(stepCount: try #require(meta["num_epochs"]?.int))
    let optimizer = SGD()
    var state = SGD.State(parameterCount: network.layout.trainable.count)
    var generator = RandomGenerator(seed: 0)
    let drift = meta["float64_rerun"]?.array ?? []

    let steps = try #require(meta["steps"]?.array)
    for (index, step) in steps.enumerated() {
      let result = network.lossAndGradients(
        of: loss, input: try data.activations("batches/\(index)/data"), targets: try targets("batches/\(index)"),
        parameters: parameters, generator: &generator)
      let expected = try #require(step["loss"]?.double)
      let rounding = 10 * (drift[index]["abs_loss_difference"]?.double ?? 0)
      let tolerance = max((index < 2 ? 1e-5 : 1e-4) * abs(expected), rounding)
      #expect(abs(Double(result.loss) - expected) <= tolerance, "\(name) step \(index + 1): \(result.loss)")
      let rate = schedule.rate(at: try #require(step["epoch"]?.int))
      #expect(abs(rate - (step["lr"]?.double ?? 0)) < 1e-12)
      let norm = globalNorm(of: result.gradients)
      let expectedNorm = try #require(step["grad_norm_before_clipping"]?.double)
      #expect(abs(norm - expectedNorm) <= 1e-4 * expectedNorm, "\(name) step \(index + 1): norm \(norm)")
      if index == 0 {
        let without = zip(network.layout.trainableNames, result.gradients).filter { $0.1 == nil }.map(\.0)
        #expect(without == meta["parameters_without_gradient"]?.array?.compactMap(\.string))
        let gradients = try data.group("grad_step_1_before_clipping")
        // Gradients of biases before a normalization are zero but for rounding, so the scale is the whole network's.
        for (parameter, gradient) in zip(network.layout.trainableNames, result.gradients) {
          guard let gradient else { continue }
          expectClose(
            gradient, try gradients.tensor(parameter), absolute: 1e-5, relativeToMaximum: 1e-4, parameter)
        }
      }
      optimizer.step(
        &parameters, gradients: result.gradients, state: &state, learningRate: rate,
        gradientFactor: clippingFactor(norm: norm, maximum: 12))
      parameters.apply(result.bufferUpdates)
      let group = "params_after_step_\(index + 1)"
      if data.contains(group) {
        let spread = max(1e-5, 10 * (drift[index]["max_abs_parameter_difference"]?.double ?? 0))
        for (parameter, value) in parameters.namedParameters {
          expectClose(
            value, try data.group(group).tensor(parameter), absolute: Float(spread), "\(parameter) after \(index + 1)")
        }
      }
      if index == 4 {
        let momenta = try data.group("momentum_after_step_5")
        for (parameter, momentum) in zip(network.layout.trainableNames, state.momenta) {
          guard let momentum else {
            #expect(!momenta.contains(parameter))
            continue
          }
          expectClose(
            momentum, try momenta.tensor(parameter), absolute: 1e-4, relativeToMaximum: 1e-3,
            "momentum of \(parameter)")
        }
      }
    }

    var context = ForwardContext.evaluation(parameters)
    let logits = network(try data.activations("validation_batch/data"), &context, deepSupervision: true)
    let value = Double(loss(logits, try targets("validation_batch")).scalar())
    let expected = try #require(meta["validation_step"]?["loss"]?.double)
    #expect(abs(value - expected) <= 1e-4 * abs(expected), "\(name) validation: \(value)")
  }

  @Test func polynomialSchedule() throws {
    guard let folder = Golden.folder("training/labels3d") else { return }
    let meta = try JSONValue(contentsOf: folder.appendingPathComponent("meta.json"))
    let schedule = PolynomialSchedule(stepCount: 1000)
    for (epoch, rate) in meta["polylr_1000_epochs"]?.object ?? [:] {
      #expect(abs(schedule.rate(at: try #require(Int(epoch))) - (rate.double ?? 0)) < 1e-15)
    }
  }
}

@Suite struct OptimizerTests {
  private let network = UNet(
    UNetArchitecture(
      kind: .plainConvUNet, dimensions: 2,
      stages: [
        .init(features: 2, kernelSize: [3, 3], stride: [1, 1], blockCount: 1),
        .init(features: 3, kernelSize: [3, 3], stride: [2, 2], blockCount: 1),
      ], decoderBlockCounts: [1]), inputChannels: 1, headCount: 2)

  /// AdamW with AMSGrad in Double, one number at a time.
  @Test(arguments: [true, false])
  func adamMatchesItsFormulas(_ isDecoupled: Bool) {
    let adam = Adam(weightDecay: 0.1, isDecayDecoupled: isDecoupled, usesLargestMoment: isDecoupled)
    var generator = RandomGenerator(seed: 1)
    var parameters = network.initialParameters(&generator)
    var state = Adam.State(parameterCount: network.layout.trainable.count)
    let index = 0
    var p = parameters.namedParameters[index].value.elements().map(Double.init)
    var (m, v, largest) = (p.map { _ in 0.0 }, p.map { _ in 0.0 }, p.map { _ in 0.0 })
    for step in 1...4 {
      let gradients = parameters.namedParameters.map {
        Optional(Tensor.normal(shape: $0.value.shape, standardDeviation: 1, generator: &generator))
      }
      adam.step(&parameters, gradients: gradients, state: &state, learningRate: 0.01, gradientFactor: 0.5)
      let g = gradients[index].map { $0.elements() } ?? []
      for i in p.indices {
        var d = Double(g[i]) * 0.5
        if isDecoupled { p[i] *= 1 - 0.01 * 0.1 } else { d += 0.1 * p[i] }
        m[i] = 0.9 * m[i] + 0.1 * d
        v[i] = 0.999 * v[i] + 0.001 * d * d
        largest[i] = max(largest[i], v[i])
        let moment = (isDecoupled ? largest[i] : v[i]) / (1 - pow(0.999, Double(step)))
        p[i] -= 0.01 * m[i] / (1 - pow(0.9, Double(step))) / (moment.squareRoot() + 1e-8)
      }
    }
    let expected = Tensor(p.map { Float($0) }, shape: parameters.namedParameters[index].value.shape)
    expectClose(parameters.namedParameters[index].value, expected, relativeToMaximum: 1e-5, "Adam")
  }

  @Test func parametersWithoutGradientStay() {
    var generator = RandomGenerator(seed: 1)
    var parameters = network.initialParameters(&generator)
    let before = parameters
    var gradients: [Tensor?] = parameters.namedParameters.map { Tensor(repeating: 1, shape: $0.value.shape) }
    gradients[1] = nil
    var state = SGD.State(parameterCount: gradients.count)
    SGD(weightDecay: 0.5).step(&parameters, gradients: gradients, state: &state, learningRate: 0.1)
    for (index, pair) in zip(before.namedParameters, parameters.namedParameters).enumerated() {
      #expect(pair.0.value.isBitwiseEqual(to: pair.1.value) == (index == 1), "\(pair.0.name)")
      #expect((state.momenta[index] == nil) == (index == 1))
    }
  }

  @Test func clippingLeavesSmallGradientsAlone() {
    let gradients: [Tensor?] = [Tensor(repeating: 3, shape: [16]), nil, Tensor(repeating: -4, shape: [4, 4])]
    #expect(abs(globalNorm(of: gradients) - 20) < 1e-9)
    #expect(clippingFactor(norm: 20, maximum: 12) == 12 / (20 + 1e-6))
    #expect(clippingFactor(norm: 3, maximum: 12) == 1)
  }
}
