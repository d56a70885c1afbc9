import Autograd
import TensorCore
import TensorTestSupport
import Testing

/// What PyTorch reports as 'modified by an inplace operation' or 'Inplace update to inference tensor' can't be
/// produced here: each of these computes the right result.
@Suite struct InPlaceSafetyTests {
  @Test func mutatingAfterSavingKeepsTheGradient() {
    let tape = Tape()
    var weight = Tensor([2, 3] as [Float], shape: [2])
    let w = tape.follow(weight)
    var input = Tensor([5, 7] as [Float], shape: [2])
    let loss = (w * input).sum()
    // Both factors were saved; both are overwritten now.
    input.withMutableElements(as: Float.self) { $0.update(repeating: 0) }
    weight.withMutableElements(as: Float.self) { $0.update(repeating: 0) }
    #expect(tape.gradients(of: loss, for: [w])[0].elements() == [5, 7])
    #expect(input.elements() == [0, 0] && weight.elements() == [0, 0])
  }

  @Test func mutatingASavedOutputKeepsTheGradient() {
    let tape = Tape()
    let x = tape.follow(Tensor([0, 1] as [Float], shape: [2]))
    var y = x.exponential()
    let loss = y.sum()
    y.withMutableElements(as: Float.self) { $0.update(repeating: 100) }
    #expect(!y.isFollowed)
    #expect(tape.gradients(of: loss, for: [x])[0].elements()[0] == 1)
    #expect(y.elements() == [100, 100])
  }

  @Test func mutatingWithoutRecordingKeepsTheGradient() {
    let tape = Tape()
    var weight = Tensor([2, 3] as [Float], shape: [2])
    let w = tape.follow(weight)
    let loss = (w * w).sum()
    tape.withoutRecording {
      weight.scale(by: 1, adding: Tensor(repeating: 1, shape: [2]), scaledBy: -0.5)
      weight.withMutableElements(as: Float.self) { $0[0] += 10 }
    }
    #expect(tape.gradients(of: loss, for: [w])[0].elements() == [4, 6])
    #expect(weight.elements() == [11.5, 2.5])
  }

  @Test func gradientsDoNotShareMemoryWithEachOther() {
    let tape = Tape()
    let a = tape.follow(Tensor([1, 2] as [Float], shape: [2]))
    let b = tape.follow(Tensor([3, 4] as [Float], shape: [2]))
    var gradients = tape.gradients(of: (a + b).sum(), for: [a, b])
    gradients[0].withMutableElements(as: Float.self) { $0.update(repeating: 9) }
    #expect(gradients[1].elements() == [1, 1])
  }

  /// Several folds and cases: predict, load other weights, predict again.
  @Test func loadingParametersAfterPredictingChangesOnlyWhatFollows() {
    struct Model {
      var weight: Tensor
      var bias: Tensor
      func callAsFunction(_ x: Tensor) -> Tensor { (x.matrixProduct(weight) + bias).softmax() }
    }
    func parameters(_ fold: UInt64) -> (Tensor, Tensor) {
      (TestInput.uniform([4, 3], seed: fold), TestInput.uniform([3], seed: fold + 50))
    }
    func fresh(_ fold: UInt64, _ x: Tensor) -> [UInt8] {
      let (weight, bias) = parameters(fold)
      return Model(weight: weight, bias: bias)(x).bytes
    }
    let cases = (0..<3).map { TestInput.uniform([5, 4], seed: 20 + $0) }
    let (weight, bias) = parameters(0)
    var model = Model(weight: weight, bias: bias)
    var kept: [(Tensor, [UInt8])] = []
    for fold in 0..<4 as Range<UInt64> {
      // Into the memory of the parameters, as a loader does it.
      let (weight, bias) = parameters(fold)
      model.weight.withMutableElements(as: Float.self) { _ = $0.update(from: weight.elements()) }
      model.bias.withMutableElements(as: Float.self) { _ = $0.update(from: bias.elements()) }
      for input in cases {
        let result = model(input)
        #expect(result.bytes == fresh(fold, input))
        kept.append((result, result.bytes))
      }
    }
    for (result, bytes) in kept { #expect(result.bytes == bytes) }
  }

  @Test func trainingStepsEqualOutOfPlaceUpdates() {
    let target = TestInput.uniform([6], seed: 4)
    func run(inPlace: Bool) -> [UInt8] {
      var weight = TestInput.uniform([6])
      for _ in 0..<10 {
        let tape = Tape()
        let w = tape.follow(weight)
        let difference = w - target
        let gradient = tape.gradients(of: (difference * difference).sum(), for: [w])[0]
        if inPlace {
          weight.scale(by: 1, adding: gradient, scaledBy: -0.1)
        } else {
          weight = weight.scaled(by: 1, adding: gradient, scaledBy: -0.1)
        }
      }
      return weight.bytes
    }
    #expect(run(inPlace: true) == run(inPlace: false))
  }
}
