import Autograd
import TensorCore
import TensorTestSupport
import Testing

@Suite struct TapeTests {
  private let values = Tensor([0.5, -1.5, 2] as [Float], shape: [3])

  @Test func chainsAndBranches() {
    let tape = Tape()
    let x = tape.follow(values)
    // (x^2 + 3x) e^-x: derivative (2x + 3 - x^2 - 3x) e^-x.
    let result = ((x * x + x * 3) * (-x).exponential()).sum()
    let gradient = tape.gradients(of: result, for: [x])[0]
    for (value, found) in zip(values.elements(), gradient.elements()) {
      let expected = (2 * value + 3 - value * value - 3 * value) * Tensor(-value).exponential().scalar()
      #expect(abs(found - expected) < 1e-5)
    }
    #expect(!gradient.isFollowed)
  }

  @Test func sourcesMayBeIntermediateOrUnused() {
    let tape = Tape()
    let x = tape.follow(values)
    let unused = tape.follow(values)
    let middle = x * 2
    let result = (middle * middle).sum()
    let found = tape.optionalGradients(of: [(result, nil)], for: [middle, x, unused])
    #expect(found[0]?.elements() == [2, -6, 8])
    #expect(found[1]?.elements() == [4, -12, 16])
    #expect(found[2] == nil)
  }

  @Test func seedsAndSeveralResults() {
    let tape = Tape()
    let x = tape.follow(values)
    let seed = Tensor([1, 10, 100] as [Float], shape: [3])
    let found = tape.optionalGradients(of: [(x * 2, seed), (x.sum(), nil)], for: [x])
    #expect(found[0]?.elements() == [3, 21, 201])
  }

  @Test func keptTapeGivesGradientsAgain() {
    let tape = Tape()
    let x = tape.follow(values)
    let y = (x * x).sum()
    let first = tape.gradients(of: y, for: [x], keepingTape: true)[0]
    #expect(tape.gradients(of: y, for: [x])[0].bytes == first.bytes)
  }

  @Test func pausedRecordingGivesConstants() {
    let tape = Tape()
    let x = tape.follow(values)
    let constant = tape.withoutRecording { x * x }
    #expect(!constant.isFollowed)
    let gradient = tape.gradients(of: (constant * x).sum(), for: [x])[0]
    #expect(gradient.elements() == (values * values).elements())
  }

  @Test func secondAndThirdDerivatives() {
    let outer = Tape()
    let x = outer.follow(values)
    let middle = Tape()
    let y = middle.follow(x)
    let inner = Tape()
    let z = inner.follow(y)
    let fourth = (z * z * z * z).sum()
    let first = inner.gradients(of: fourth, for: [z])[0]
    let second = middle.gradients(of: first.sum(), for: [y])[0]
    let third = outer.gradients(of: second.sum(), for: [x])[0]
    for (value, found) in zip(values.elements(), third.elements()) { #expect(abs(found - 24 * value) < 1e-4) }
  }

  /// Values of two tapes meet without one of them lying in the other.
  @Test func tapesNestWhereverTheirValuesCome() {
    let outer = Tape()
    let a = outer.follow(values)
    let inner = Tape()
    let b = inner.follow(Tensor([1, 2, 3] as [Float], shape: [3]))
    for product in [a * b, b * a] {
      let byB = inner.gradients(of: (product * b).sum(), for: [b], keepingTape: true)[0]
      #expect(byB.elements() == [1, -6, 12])
      #expect(outer.gradients(of: byB.sum(), for: [a], keepingTape: true)[0].elements() == [2, 4, 6])
    }
  }

  @Test func normalizationHasSecondDerivatives() {
    // A gradient penalty through the fused operation equals the one through its composed form.
    func penalty(_ normalize: (Tensor, Tensor, Tensor) -> Tensor) -> [Float] {
      let outer = Tape()
      let x = outer.follow(TestInput.uniform([2, 6, 5, 3]))
      let weight = outer.follow(TestInput.uniform([3], in: 0.5...1.5, seed: 2))
      let bias = TestInput.uniform([3], seed: 3)
      let inner = Tape()
      let z = inner.follow(x)
      let y = normalize(z, weight, bias)
      let gradient = inner.gradients(of: (y * y * y).sum(), for: [z])[0]
      return outer.gradients(of: gradient.squaredNorm(), for: [x, weight]).flatMap { $0.elements() }
    }
    let fused = penalty { $0.instanceNormalized(weight: $1, bias: $2, epsilon: 0.1, negativeSlope: 0.1) }
    let composed = penalty { x, weight, bias in
      let centred = x - x.mean(axes: [1, 2], keepingAxes: true)
      let variance = (centred * centred).mean(axes: [1, 2], keepingAxes: true)
      return (centred / (variance + 0.1).squareRoot() * weight + bias).leakyRectified(negativeSlope: 0.1)
    }
    let count = composed.count
    expectClose(
      Tensor(fused, shape: [count]), ReferenceArray(Tensor(composed, shape: [count])), tolerance: 1e-4, "penalty")
  }

  @Test func checkpointedEqualsPlain() {
    let weight = TestInput.uniform([4, 4])
    let input = TestInput.uniform([3, 4], seed: 2)
    let body: @Sendable ([Tensor]) -> [Tensor] = { values in
      let hidden = values[0].matrixProduct(values[1]).leakyRectified(negativeSlope: 0.1)
      return [hidden.softmax(), hidden * 2]
    }
    func gradients(checkpointed: Bool) -> [[UInt8]] {
      let tape = Tape()
      let (x, w) = (tape.follow(input), tape.follow(weight))
      let outputs = checkpointed ? tape.checkpointed([x, w], body) : body([x, w])
      let loss = (outputs[0] * outputs[1]).sum() + (x * w.sum()).mean()
      return tape.gradients(of: loss, for: [x, w]).map(\.bytes)
    }
    #expect(gradients(checkpointed: true) == gradients(checkpointed: false))
  }

  @Test func mistakesStop() async {
    await #expect(processExitsWith: .failure) {
      let tape = Tape()
      let x = tape.follow(Tensor(2))
      let y = x * x
      _ = tape.gradients(of: y, for: [x])
      _ = tape.gradients(of: y, for: [x])
    }
    await #expect(processExitsWith: .failure) {
      let tape = Tape()
      let x = tape.follow(Tensor(zeros: [2]))
      _ = tape.gradients(of: x * x, for: [x])
    }
    await #expect(processExitsWith: .failure) {
      let tape = Tape()
      let x = tape.follow(Tensor(zeros: [2]))
      _ = tape.gradients(of: x * x, seed: Tensor(zeros: [3]), for: [x])
    }
    await #expect(processExitsWith: .failure) {
      let tape = Tape()
      let x = tape.follow(Tensor(2))
      _ = tape.gradients(of: Tensor(1), for: [x])
    }
    await #expect(processExitsWith: .failure) {
      let tape = Tape()
      let x = tape.follow(Tensor(2))
      _ = tape.gradients(of: x * x, for: [x])
      _ = x + x
    }
  }

  @Test func mistakesSayWhatToDo() async throws {
    let result = try await #require(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let tape = Tape()
      let x = tape.follow(Tensor(2))
      let y = x * x
      _ = tape.gradients(of: y, for: [x])
      _ = tape.gradients(of: y, for: [x])
    }
    #expect(String(decoding: result.standardErrorContent, as: UTF8.self).contains("keepingTape: true"))
  }
}
