import Autograd
import Datasets
import Foundation
import HDF5Files
import NeuralNetworks
import TensorCore
import TensorTestSupport
import Testing

/// One loss of `golden/losses`.
private struct GoldenLoss {
  let name: String
  let description: JSONValue
  let data: HDF5Group

  var hasRegions: Bool { description["regions_class_order"]?.array != nil }
  var ignoredLabel: Int16? { description["ignore_label"]?.int.map { Int16($0) } }
  var value: Double { description["loss"]?.double ?? .nan }

  func loss() throws -> any SegmentationLoss {
    let batchDice = description["batch_dice"]?.bool ?? false
    let trainer = description["trainer"]?.string ?? ""
    let smoothing: Float = trainer.hasSuffix("noSmooth") ? 0 : 1e-5
    switch description["loss_class"]?.string {
    case "DC_and_CE_loss":
      return CompoundLoss.diceAndCrossEntropy(
        batchDice: batchDice, ignoredLabel: ignoredLabel, smoothing: smoothing)
    case "DC_and_BCE_loss":
      return CompoundLoss.diceAndBinaryCrossEntropy(
        batchDice: batchDice, hasIgnoreChannel: ignoredLabel != nil, smoothing: smoothing)
    case "DC_and_topk_loss":
      return CompoundLoss.diceAndTopK(batchDice: batchDice, ignoredLabel: ignoredLabel)
    case "RobustCrossEntropyLoss": return CrossEntropyLoss(ignoredLabel: ignoredLabel)
    case "TopKLoss":
      return TopKCrossEntropyLoss(ignoredLabel: ignoredLabel, labelSmoothing: trainer.hasSuffix("LS01") ? 0.1 : 0)
    case "MemoryEfficientSoftDiceLoss":
      return SoftDiceLoss(isBatchwise: batchDice, includesBackground: false, target: .labels(ignoring: nil))
    case let other: throw UnknownLoss(name: other ?? "nothing")
    }
  }

  struct UnknownLoss: Error { let name: String }

  func target(_ path: String) throws -> Tensor { try hasRegions ? data.regions(path) : data.labels(path) }
}

private func goldenLosses(deepSupervision: Bool) throws -> [GoldenLoss] {
  guard let folder = Golden.folder("losses") else { return [] }
  let index = try JSONValue(contentsOf: folder.appendingPathComponent("index.json"))
  let data = try HDF5File.open(folder.appendingPathComponent("losses.h5").path).root
  return try (index["cases"]?.array ?? [])
    .filter { $0["deep_supervision"]?.bool == deepSupervision }
    .map { GoldenLoss(name: $0["name"]?.string ?? "", description: $0, data: try data.group($0["name"]?.string ?? "")) }
}

@Suite struct GoldenLossTests {
  @Test func valuesAndGradients() throws {
    let cases = try goldenLosses(deepSupervision: false)
    #expect(cases.isEmpty || cases.count >= 25)
    for golden in cases { try check(golden) }
  }

  private func check(_ golden: GoldenLoss) throws {
    let loss = try golden.loss()
    let target = try golden.target("target")
    let tape = Tape()
    let logits = tape.follow(try golden.data.activations("logits"))
    let value: Tensor = loss(logits, target)
    #expect(value.shape.rank == 0)
    let difference = abs(Double(value.scalar()) - golden.value)
    #expect(difference <= 1e-5 * abs(golden.value), "\(golden.name): \(value.scalar())")
    let gradient = tape.gradients(of: value, for: [logits])[0]
    let expected = try golden.data.activations("grad")
    expectClose(gradient, expected, absolute: 1e-7, relativeToMaximum: 1e-4, golden.name)
  }

  @Test func deepSupervision() throws {
    for golden in try goldenLosses(deepSupervision: true) {
      let weights = golden.description["weight_factors"]?.array?.compactMap(\.double) ?? []
      #expect(weights == DeepSupervisionLoss.standardWeights(headCount: weights.count))
      let tape = Tape()
      let levels = weights.indices
      let logits = try levels.map { tape.follow(try golden.data.activations("logits/\($0)")) }
      let targets = try levels.map { try golden.target("target/\($0)") }
      let base = try golden.loss()
      let value = DeepSupervisionLoss(loss: base, weights: weights)(logits, targets)
      let difference = abs(Double(value.scalar()) - golden.value)
      #expect(difference <= 1e-5 * abs(golden.value), "\(golden.name): \(value.scalar())")
      let gradients = tape.gradients(of: value, for: logits)
      for level in levels {
        expectClose(
          gradients[level], try golden.data.activations("grad/\(level)"), absolute: 1e-7, relativeToMaximum: 1e-4,
          "\(golden.name) head \(level)")
      }
    }
  }

  @Test func weightsByNumberOfStages() throws {
    #expect(DeepSupervisionLoss.standardWeights(headCount: 1) == [1])
    guard let folder = Golden.folder("losses") else { return }
    let index = try JSONValue(contentsOf: folder.appendingPathComponent("index.json"))
    for (stages, weights) in index["deep_supervision_weights_by_number_of_stages"]?.object ?? [:] where stages != "2" {
      let count = try #require(Int(stages)) - 1
      #expect(DeepSupervisionLoss.standardWeights(headCount: count) == weights.array?.compactMap(\.double))
    }
  }
}

@Suite struct LossOperationTests {
  private func random(_ shape: Shape, seed: UInt64) -> Tensor {
    var generator = RandomGenerator(seed: seed)
    return .normal(shape: shape, standardDeviation: 1, generator: &generator)
  }

  private func labels(_ shape: Shape, below count: UInt64, seed: UInt64) -> Tensor {
    var generator = RandomGenerator(seed: seed)
    return Tensor((0..<shape.count).map { _ in Int16(generator.next() % count) }, shape: shape)
  }

  private func dot(_ a: Tensor, _ b: Tensor) -> Double {
    zip(a.elements(), b.elements()).reduce(0) { $0 + Double($1.0) * Double($1.1) }
  }

  private func kinds(_ shape: Shape) -> [(TargetKind, Tensor)] {
    let spatial = Shape(Array(shape.extents.dropLast()))
    let ignoring = Shape(spatial.extents + [shape.channels + 1])
    let bytes = labels(ignoring, below: 2, seed: 3)
    return [
      (.labels(ignoring: nil), labels(spatial, below: UInt64(shape.channels), seed: 1)),
      (.labels(ignoring: Int16(shape.channels)), labels(spatial, below: UInt64(shape.channels) + 1, seed: 2)),
      (.regions(hasIgnoreChannel: false), random(shape, seed: 4)),
      (
        .regions(hasIgnoreChannel: true),
        Tensor(bytes.withElements(as: Int16.self) { $0.map { UInt8($0) } }, shape: ignoring)
      ),
    ]
  }

  /// A linear map and its gradient rule are each other's adjoints, and so are the rule and its own.
  @Test func gradientsAreAdjoints() {
    // More voxels than one task takes.
    let shape: Shape = [2, 23, 19, 41, 3]
    let p = random(shape, seed: 10)
    for (kind, target) in kinds(shape) {
      let sums = ClassSums(target: kind).apply([p, target])
      let (a, b) = (random([2, 3], seed: 11), random([2, 3], seed: 12))
      let map = ClassSumsAdjoint(target: kind, shape: shape)(a, b, target)
      let (left, right) = (dot(sums[0], a) + dot(sums[1], b), dot(p, map))
      #expect(abs(left - right) < 1e-4 * max(abs(left), 100), "\(kind)")
      let tape = Tape()
      let followed = tape.follow(p)
      let outputs = ClassSums(target: kind).apply([followed, target])
      let gradient = tape.optionalGradients(of: [(outputs[0], a), (outputs[1], b)], for: [followed])[0]
      #expect(gradient?.isBitwiseEqual(to: map) == true)
      guard case .labels = kind else { continue }
      let g = random(Shape(Array(shape.extents.dropLast())), seed: 13)
      let entropy = CrossEntropyMap(target: kind, labelSmoothing: 0.1)(p, target)
      let back = CrossEntropyMapAdjoint(target: kind, labelSmoothing: 0.1, classCount: 3)(g, target)
      #expect(abs(dot(entropy, g) - dot(p, back)) < 1e-4 * 100, "\(kind)")
    }
  }

  @Test func binaryCrossEntropyMatchesCentralDifferences() {
    let shape: Shape = [2, 3, 5, 2]
    for (kind, target) in kinds(shape) {
      if case .regions(false) = kind { continue }
      let x = random(shape, seed: 6)
      let tape = Tape()
      let logits = tape.follow(x)
      let sum = BinaryCrossEntropySum(target: kind).apply([logits, target])[0]
      let gradient = tape.gradients(of: sum, for: [logits])[0].elements()
      let counted = MaskedResidual(target: kind, subtractsTarget: false)(Tensor(repeating: 1, shape: shape), target)
      let y = MaskedResidual(target: kind, subtractsTarget: true)(Tensor(zeros: shape), target).elements()
      for (index, value) in x.elements().enumerated() {
        // The reference in Double: one element is one term.
        func term(_ z: Double) -> Double {
          counted.elements()[index] == 0 ? 0 : max(z, 0) + z * Double(y[index]) + log1p(exp(-abs(z)))
        }
        let expected = (term(Double(value) + 1e-5) - term(Double(value) - 1e-5)) / 2e-5
        #expect(abs(expected - Double(gradient[index])) < 1e-5)
      }
    }
  }

  @Test func nothingThatCountsGivesZeroCrossEntropy() {
    let logits = random([1, 4, 4, 3], seed: 1)
    let target = Tensor([Int16](repeating: 3, count: 16), shape: [1, 4, 4])
    #expect(CrossEntropyLoss(ignoredLabel: 3)(logits, target).scalar() == 0)
  }

  @Test func aLabelOutsideTheClassesStops() async {
    await #expect(processExitsWith: .failure) {
      let target = Tensor([Int16](repeating: 3, count: 16), shape: [1, 4, 4])
      _ = CrossEntropyLoss()(Tensor(zeros: [1, 4, 4, 3]), target)
    }
  }
}
