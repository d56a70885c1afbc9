import Autograd
import CKernels
import TensorCore
import TensorTestSupport
import Testing

/// Fused operations against the same steps one by one, at sizes where every path of the kernels runs: whole and partial
/// vectors, cuts within a vector, blocks of tiles across instances, edges.
@Suite struct FusedConvolutionTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var batch: Int
    /// Channels of each source.
    var inputs: [Int]
    var output: Int
    var extents: [Int]
    var kernel: [Int]
    var stride = 1

    var testDescription: String { "\(batch)x\(inputs)->\(output) \(extents) kernel \(kernel) stride \(stride)" }
    var geometry: ConvolutionGeometry {
      ConvolutionGeometry(stride: kernel.map { _ in stride }, padding: kernel.map { ($0 - 1) / 2 })
    }
    var weightShape: Shape { Shape([output, inputs.reduce(0, +)] + kernel) }
    func sourceShape(_ index: Int) -> Shape { Shape([batch] + extents + [inputs[index]]) }
    func terms(_ index: Int) -> Tensor {
      let count = batch * inputs[index]
      let means = randomValues(count, seed: UInt64(40 + index))
      let scales = randomValues(count, seed: UInt64(50 + index)).map { 1 + 0.5 * $0 }
      return Tensor(
        means + scales + randomValues(count, seed: UInt64(60 + index)), shape: [3, batch, inputs[index]])
    }
  }

  static let cases = [
    Case(batch: 1, inputs: [32], output: 32, extents: [9, 10, 17], kernel: [3, 3, 3]),
    Case(batch: 3, inputs: [16], output: 40, extents: [5, 6, 7], kernel: [3, 3, 3]),
    Case(batch: 2, inputs: [32, 32], output: 32, extents: [8, 8, 9], kernel: [3, 3, 3]),
    Case(batch: 2, inputs: [20, 20], output: 33, extents: [6, 7, 5], kernel: [3, 3, 3]),
    Case(batch: 5, inputs: [64], output: 64, extents: [4, 4, 4], kernel: [3, 3, 3]),
    Case(batch: 2, inputs: [24, 8], output: 16, extents: [1, 30, 31], kernel: [1, 3, 3]),
    Case(batch: 2, inputs: [48], output: 64, extents: [8, 9, 10], kernel: [3, 3, 3], stride: 2),
    Case(batch: 2, inputs: [1], output: 32, extents: [12, 11, 10], kernel: [3, 3, 3]),
    Case(batch: 2, inputs: [32], output: 3, extents: [7, 9, 11], kernel: [1, 1, 1]),
    Case(batch: 2, inputs: [17, 3], output: 19, extents: [3, 2, 5], kernel: [1, 1, 1]),
  ]

  private func expectSame(_ actual: Tensor, _ expected: Tensor, tolerance: Double, _ what: String) {
    expectClose(actual, ReferenceArray(expected), tolerance: tolerance, what)
  }

  @Test(arguments: cases)
  func agreesWithTheStepsOneByOne(_ test: Case) {
    let weight = Tensor(randomValues(test.weightShape.count, seed: 2), shape: test.weightShape)
    let bias = Tensor(randomValues(test.output, seed: 3), shape: [test.output])
    for level in EvaluationContext.availableInstructionSets {
      let context = EvaluationContext(pool: .shared, instructionSet: level)
      for algorithm in ConvolutionAlgorithm.allCases {
        let what = "\(String(cString: ck_instruction_set_name(level))) \(algorithm)"
        var geometry = test.geometry
        geometry.algorithm = algorithm
        var inputs: [Tensor] = [], parts: [Tensor] = []
        var sources: [ConvolutionSource] = []
        for index in test.inputs.indices {
          let shape = test.sourceShape(index)
          let x = Tensor(randomValues(shape.count, seed: UInt64(10 + index)), shape: shape)
          let terms = test.terms(index)
          inputs += [x, terms]
          sources.append(.normalized(negativeSlope: 0.01))
          parts.append(NormalizedActivation(negativeSlope: 0.01).evaluated([x, terms], in: context)[0])
        }
        let read = parts.count == 1 ? parts[0] : Tensor.concatenated(parts, axis: parts[0].rank - 1)
        let expected = Convolution(geometry).evaluated([read, weight, bias], in: context)[0]
        let expectedStatistics = InstanceNormalization(epsilon: 1e-5).evaluated(
          [expected, Tensor(zeros: [test.output]), Tensor(zeros: [test.output])], in: context)[1]
        let fused = FusedConvolution(geometry, sources: sources, hasBias: true, givesStatistics: true)
          .evaluated(inputs + [weight, bias], in: context)
        // The arithmetic is the same, so the values are; sums are taken in another order.
        expectSame(fused[0], expected, tolerance: 1e-6, what)
        expectSame(fused[1], expectedStatistics, tolerance: 4e-6, "\(what) statistics")

        let gradient = Tensor(randomValues(expected.count, seed: 7), shape: expected.shape)
        expectSame(
          FusedConvolutionWeightGradient(
            geometry, kernel: test.kernel, sources: sources, gradientSource: .plain
          ).evaluated(inputs + [gradient], in: context)[0],
          ConvolutionWeightGradient(geometry, kernel: test.kernel).evaluated([read, gradient], in: context)[0],
          tolerance: 4e-6, "\(what) weight gradient")
        if test.inputs.count == 2 {
          let whole = ConvolutionInputGradient(geometry, extents: test.extents).evaluated(
            [gradient, weight], in: context)[0]
          let split = SplitConvolutionInputGradient(geometry, extents: test.extents, channels: test.inputs)
            .evaluated([gradient, weight], in: context)
          #expect(Tensor.concatenated(split, axis: whole.rank - 1).elements() == whole.elements(), "\(what) split")
        }
      }
    }
  }

  /// The same bits at every level, whatever is normalised.
  @Test(arguments: [1, 3, 16, 32, 45])
  func residualSumsAreTheStepsOneByOne(_ channels: Int) {
    let shape = Shape([2, 7, 9, channels])
    let x = [1, 2].map { Tensor(randomValues(shape.count, seed: $0), shape: shape) }
    let terms = [3, 4].map { Tensor(randomValues(6 * channels, seed: $0), shape: [3, 2, channels]) }
    let kinds: [ConvolutionSource] = [.plain, .normalized(negativeSlope: 1), .normalized(negativeSlope: 0.01)]
    for level in EvaluationContext.availableInstructionSets {
      let context = EvaluationContext(pool: .shared, instructionSet: level)
      for first in kinds {
        for second in kinds {
          for slope: Float in [0.01, 1] {
            var inputs: [Tensor] = [], summands: [Tensor] = []
            for (number, kind) in [first, second].enumerated() {
              inputs += [x[number], terms[number]].prefix(kind.inputCount)
              guard case .normalized(let slope) = kind else {
                summands.append(x[number])
                continue
              }
              summands += NormalizedActivation(negativeSlope: slope).evaluated([x[number], terms[number]], in: context)
            }
            var expected = Add().evaluated(summands, in: context)
            if slope != 1 { expected = LeakyRectifier(negativeSlope: slope).evaluated(expected, in: context) }
            let sum = ResidualSum(first, second, negativeSlope: slope).evaluated(inputs, in: context)
            #expect(
              sum.map(\.bytes) == expected.map(\.bytes),
              "\(String(cString: ck_instruction_set_name(level))) \(first) \(second) \(slope)")
          }
        }
      }
    }
  }

  /// The mean of the output is a thousand times its deviation.
  @Test func statisticsSurviveALargeMean() {
    let test = Self.cases[0]
    let shape = test.sourceShape(0)
    let x = Tensor(randomValues(shape.count, seed: 1), shape: shape)
    let weight = Tensor(randomValues(test.weightShape.count, seed: 2).map { $0 * 1e-3 }, shape: test.weightShape)
    let bias = Tensor(repeating: 10, shape: [test.output])
    for algorithm in ConvolutionAlgorithm.allCases {
      var geometry = test.geometry
      geometry.algorithm = algorithm
      let outputs = FusedConvolution(geometry, sources: [.plain], hasBias: true, givesStatistics: true)
        .apply([x, weight, bias])
      let rows = test.extents.reduce(1, *)
      let y = outputs[0].elements(), statistics = outputs[1].elements()
      for channel in 0..<test.output {
        let values = (0..<rows).map { Double(y[$0 * test.output + channel]) }
        let mean = values.reduce(0, +) / Double(rows)
        let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(rows)
        #expect(abs(Double(statistics[channel]) - mean) < 1e-6 * abs(mean))
        #expect(abs(Double(statistics[2 * test.output + channel]) - variance) < 1e-4 * variance)
      }
    }
  }

  /// Packed weights that are kept give the same result, and never an old one.
  @Test func keptFormsFollowTheirWeight() {
    let test = Self.cases[0]
    let shape = test.sourceShape(0)
    let x = Tensor(randomValues(shape.count, seed: 1), shape: shape)
    let values = randomValues(test.weightShape.count, seed: 2)
    var kept = Tensor(values, shape: test.weightShape)
    let expected = Convolution(test.geometry)(x, kept).elements()
    kept.keepPackedForms(PackedForms.Budget(byteCount: 1 << 30))
    #expect(Convolution(test.geometry)(x, kept).elements() == expected)
    #expect(Convolution(test.geometry)(x, kept).elements() == expected)
    kept.withMutableElements(as: Float.self) { $0[0] += 1 }
    var changed = values
    changed[0] += 1
    let again = Convolution(test.geometry)(x, Tensor(changed, shape: test.weightShape)).elements()
    #expect(Convolution(test.geometry)(x, kept).elements() == again && again != expected)
    let without = Tensor(values, shape: test.weightShape)
    without.keepPackedForms(PackedForms.Budget(byteCount: 16))
    #expect(Convolution(test.geometry)(x, without).elements() == expected)
  }

  /// Two convolution blocks, fused and plain, and the gradients of both through the statistics.
  @Test func gradientsFlowThroughStatistics() {
    let geometry = ConvolutionGeometry(preserving: [3, 3])
    let x = Tensor(randomValues(2 * 9 * 8 * 3, seed: 1), shape: [2, 9, 8, 3])
    let first = Tensor(randomValues(6 * 3 * 9, seed: 2), shape: [6, 3, 3, 3])
    let second = Tensor(randomValues(4 * 6 * 9, seed: 3), shape: [4, 6, 3, 3])
    let scale = Tensor(randomValues(6, seed: 4).map { 1 + 0.3 * $0 }, shape: [6])
    let offset = Tensor(randomValues(6, seed: 5), shape: [6])
    let seed = Tensor(randomValues(2 * 9 * 8 * 4, seed: 6), shape: [2, 9, 8, 4])
    func gradients(fused: Bool) -> [Tensor] {
      let tape = Tape()
      let values = [x, first, second, scale, offset].map(tape.follow)
      let result: Tensor
      if fused {
        let inner = FusedConvolution(geometry, sources: [.plain], hasBias: false, givesStatistics: true)
          .apply([values[0], values[1]])
        let terms = NormalizationTerms(epsilon: 1e-5)(inner[1], values[3], values[4])
        result =
          FusedConvolution(
            geometry, sources: [.normalized(negativeSlope: 0.01)], hasBias: false, givesStatistics: false
          ).apply([inner[0], terms, values[2]])[0]
      } else {
        let inner = values[0].convolved(with: values[1], bias: nil, geometry)
          .instanceNormalized(weight: values[3], bias: values[4], epsilon: 1e-5, negativeSlope: 0.01)
        result = inner.convolved(with: values[2], bias: nil, geometry)
      }
      return tape.optionalGradients(of: [(value: result, seed: seed)], for: values).compactMap { $0 }
    }
    let (actual, expected) = (gradients(fused: true), gradients(fused: false))
    #expect(actual.count == 5 && expected.count == 5)
    for (position, (actual, expected)) in zip(actual, expected).enumerated() {
      expectSame(actual, expected, tolerance: 2e-5, "gradient \(position)")
    }
  }
}
