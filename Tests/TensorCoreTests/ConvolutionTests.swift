import CKernels
import TensorCore
import TensorTestSupport
import Testing

@Suite struct ConvolutionTests {
  /// Compares with the Double reference; returns the worst error relative to the largest element.
  private func expectClose(_ tensor: Tensor, _ shape: Shape, _ expected: [Double], tolerance: Double, _ what: String) {
    #expect(tensor.shape == shape, "\(what)")
    guard tensor.count == expected.count, !expected.isEmpty else {
      Issue.record("\(what): \(tensor.count) elements, expected \(expected.count)")
      return
    }
    let largest = expected.reduce(0) { max($0, abs($1)) }
    var worst = 0.0
    for (actual, expected) in zip(tensor.elements(), expected) {
      let error = abs(Double(actual) - expected)
      worst = error.isFinite ? max(worst, error) : .infinity
    }
    #expect(worst <= tolerance * max(largest, 1e-30), "\(what): error \(worst / largest) of the largest element")
  }

  private func contexts(_ pool: WorkerPool = .shared) -> [EvaluationContext] {
    EvaluationContext.availableInstructionSets.map { EvaluationContext(pool: pool, instructionSet: $0) }
  }

  private func check(
    _ test: ConvolutionCase, algorithm: ConvolutionAlgorithm, tolerance: Double, offset: Float = 0, scale: Float = 1
  ) {
    var values = randomValues(test.inputShape.count, seed: 1).map { $0 * scale + offset }
    // A few far larger values: transforms that lose them in cancellation would show.
    if scale != 1 { for index in stride(from: 0, to: values.count, by: 97) { values[index] *= 100 } }
    let weights = randomValues(test.weightShape.count, seed: 2)
    let biases = randomValues(test.channels.output, seed: 3)
    let gradients = randomValues(test.outputShape.count, seed: 4)
    let reference = ConvolutionReference(test, input: values, weight: weights, bias: biases, gradient: gradients)
    let input = Tensor(values, shape: test.inputShape)
    let weight = Tensor(weights, shape: test.weightShape)
    let bias = Tensor(biases, shape: [test.channels.output])
    let gradient = Tensor(gradients, shape: test.outputShape)
    var geometry = test.geometry
    geometry.algorithm = algorithm
    for context in contexts() {
      let level = "\(String(cString: ck_instruction_set_name(context.instructionSet))) \(algorithm)"
      expectClose(
        Convolution(geometry).evaluated([input, weight, bias], in: context)[0], test.outputShape, reference.output,
        tolerance: tolerance, "\(level) forward")
      expectClose(
        ConvolutionInputGradient(geometry, extents: test.extents).evaluated([gradient, weight], in: context)[0],
        test.inputShape, reference.inputGradient, tolerance: tolerance, "\(level) input gradient")
      expectClose(
        ConvolutionWeightGradient(geometry, kernel: test.kernel).evaluated([input, gradient], in: context)[0],
        test.weightShape, reference.weightGradient, tolerance: tolerance, "\(level) weight gradient")
    }
  }

  @Test(arguments: ConvolutionCase.all)
  func directAgreesWithReference(_ test: ConvolutionCase) {
    check(test, algorithm: .direct, tolerance: 2e-6)
  }

  @Test(arguments: ConvolutionCase.all)
  func winogradAgreesWithReference(_ test: ConvolutionCase) {
    check(test, algorithm: .winograd2, tolerance: 5e-6)
    check(test, algorithm: .winograd4, tolerance: 2e-5)
    check(test, algorithm: .winograd6, tolerance: 5e-5)
    check(test, algorithm: .auto, tolerance: 2e-5)
    check(test, algorithm: .fastest, tolerance: 5e-5)
  }

  /// Transforms subtract neighbours: a constant offset or a few large values must not cost more than they weigh.
  @Test(arguments: ConvolutionCase.all)
  func winogradStaysAccurate(_ test: ConvolutionCase) {
    for algorithm in [ConvolutionAlgorithm.winograd2, .winograd4, .winograd6] {
      let tolerance = algorithm == .winograd2 ? 5e-6 : 1e-4
      check(test, algorithm: algorithm, tolerance: tolerance, offset: 20)
      check(test, algorithm: algorithm, tolerance: tolerance, scale: 1e3)
    }
  }

  @Test(arguments: ConvolutionCase.all)
  func resultsDoNotDependOnThreads(_ test: ConvolutionCase) {
    let input = Tensor(randomValues(test.inputShape.count, seed: 1), shape: test.inputShape)
    let weight = Tensor(randomValues(test.weightShape.count, seed: 2), shape: test.weightShape)
    let gradient = Tensor(randomValues(test.outputShape.count, seed: 4), shape: test.outputShape)
    for algorithm in ConvolutionAlgorithm.allCases {
      var geometry = test.geometry
      geometry.algorithm = algorithm
      let results = [1, 2, 4].map { threads -> [[Float]] in
        let context = EvaluationContext(
          pool: WorkerPool(threads: threads), instructionSet: EvaluationContext.standard.instructionSet)
        return [
          Convolution(geometry).evaluated([input, weight], in: context)[0].elements(),
          ConvolutionInputGradient(geometry, extents: test.extents).evaluated([gradient, weight], in: context)[0]
            .elements(),
          ConvolutionWeightGradient(geometry, kernel: test.kernel).evaluated([input, gradient], in: context)[0]
            .elements(),
          ConvolutionBiasGradient().evaluated([gradient], in: context)[0].elements(),
        ]
      }
      #expect(results[0] == results[1] && results[0] == results[2], "\(algorithm)")
    }
  }

  /// Every operation here is linear in each input, so for any direction d the gradient g satisfies
  /// `<g, d> = <seed, f(d)>` exactly; random directions on both sides make it a complete check.
  private func checkGradients<Rule: Operation>(_ operation: Rule, _ shapes: [Shape]) {
    let inputs = shapes.enumerated().map { Tensor(randomValues($1.count, seed: UInt64($0) + 10), shape: $1) }
    let outputShape = operation.shapes(of: shapes)[0]
    let seed = Tensor(randomValues(outputShape.count, seed: 20), shape: outputShape)
    let needs = operation.gradientNeeds
    let gradients = operation.gradients(
      GradientContext(
        name: Rule.name, inputs: inputs.enumerated().map { needs.inputs.contains($0) ? $1 : nil }, outputs: [nil],
        inputShapes: shapes, outputShapes: [outputShape], outputGradients: [seed],
        isNeeded: shapes.map { _ in true }))
    #expect(gradients.count == shapes.count)
    func product(_ a: Tensor, _ b: Tensor) -> (sum: Double, size: Double) {
      zip(a.elements(), b.elements()).reduce((0, 0)) {
        ($0.0 + Double($1.0) * Double($1.1), $0.1 + abs(Double($1.0) * Double($1.1)))
      }
    }
    for position in shapes.indices {
      guard let gradient = gradients[position] else {
        Issue.record("\(Rule.name): no gradient for input \(position)")
        continue
      }
      #expect(gradient.shape == shapes[position])
      for trial in 0..<3 {
        let direction = Tensor(
          randomValues(shapes[position].count, seed: UInt64(30 + trial)), shape: shapes[position])
        var moved = inputs
        moved[position] = direction
        if shapes.count > 2 {
          // With a bias the function is affine: take away the part that does not move.
          for other in inputs.indices where other != position && (other == 2 || position == 2) {
            moved[other] = Tensor(zeros: shapes[other])
          }
        }
        let expected = product(seed, operation.apply(moved)[0])
        let actual = product(gradient, direction)
        #expect(
          abs(actual.sum - expected.sum) <= 1e-5 * (expected.size + actual.size),
          "\(Rule.name), input \(position): \(actual.sum), expected \(expected.sum)")
      }
    }
  }

  @Test(arguments: ConvolutionCase.all)
  func gradientRules(_ test: ConvolutionCase) {
    let (input, weight, output) = (test.inputShape, test.weightShape, test.outputShape)
    checkGradients(Convolution(test.geometry), [input, weight])
    checkGradients(Convolution(test.geometry), [input, weight, [test.channels.output]])
    checkGradients(ConvolutionInputGradient(test.geometry, extents: test.extents), [output, weight])
    checkGradients(ConvolutionWeightGradient(test.geometry, kernel: test.kernel), [input, output])
    checkGradients(ConvolutionBiasGradient(), [output])
    checkGradients(ConvolutionBiasFill(shape: output), [[output.channels]])
    let smallest = (0..<3).map {
      test.geometry.transposedExtent(output.spatial[$0], kernel: test.kernel[$0], extra: 0, axis: $0)
    }
    let extra = zip(test.extents, smallest).map { $0 - $1 }
    let transposed = TransposedConvolution(test.geometry, outputPadding: extra)
    #expect(transposed.shapes(of: [output, weight]) == [input])
    checkGradients(transposed, [output, weight])
    checkGradients(transposed, [output, weight, [test.channels.input]])
  }

  @Test func transposedConvolutionScatters() {
    // One axis, kernel = stride = 2, by hand.
    let input = Tensor([1, 2, 10, 20] as [Float], shape: [1, 2, 2])
    let weight = Tensor([1, 2, 3, 4, 5, 6, 7, 8] as [Float], shape: [2, 2, 2])
    let bias = Tensor([100, 200] as [Float], shape: [2])
    let result = input.upsampled(with: weight, bias: bias, stride: [2])
    #expect(result.shape == [1, 4, 2])
    #expect(result.elements() == [111, 217, 114, 220, 210, 370, 240, 400])
  }

  @Test func flatAndLinearActivationsTakeTheSamePath() {
    let test = ConvolutionCase(5, 6, [1, 8, 9], kernel: [1, 3, 3])
    let values = randomValues(test.inputShape.count, seed: 1)
    let weights = randomValues(test.weightShape.count, seed: 2)
    let deep = Tensor(values, shape: test.inputShape)
      .convolved(with: Tensor(weights, shape: test.weightShape), bias: nil, test.geometry)
    let flat = Tensor(values, shape: [1, 8, 9, 5])
      .convolved(with: Tensor(weights, shape: [6, 5, 3, 3]), bias: nil, ConvolutionGeometry(preserving: [3, 3]))
    #expect(flat.shape == [1, 8, 9, 6])
    #expect(flat.elements() == deep.elements())
  }

  @Test func rangesContainShapes() {
    let geometry = ConvolutionGeometry(stride: [2, 1], padding: [1, 0])
    let weight = ShapeRange([8, 4, 3, 3])
    let input = ShapeRange([DimensionRange(1, 9), DimensionRange(5, 12), DimensionRange(3, nil), DimensionRange(4)])
    let range = Convolution(geometry).ranges(of: [input, weight])[0]
    #expect(range.description == "[1...9, 3...6, 1..., 8]")
    for extent in 5...12 {
      #expect(range.contains(Convolution(geometry).shapes(of: [[2, extent, 7, 4], [8, 4, 3, 3]])[0]))
    }
    let up = TransposedConvolution(stride: [2, 2])
      .ranges(of: [
        ShapeRange([DimensionRange(1, 2), DimensionRange(3, 4), DimensionRange(5), DimensionRange(8)]),
        ShapeRange([8, 4, 2, 2]),
      ])[0]
    #expect(up.description == "[1...2, 6...8, 10, 4]")
  }

  @Test func misfitsStop() async {
    await #expect(processExitsWith: .failure) {
      _ = Convolution(ConvolutionGeometry(preserving: [3, 3])).shapes(of: [[1, 4, 4, 3], [2, 5, 3, 3]])
    }
    await #expect(processExitsWith: .failure) {
      _ = Convolution(ConvolutionGeometry(stride: [1, 1], padding: [0, 0])).shapes(of: [[1, 2, 4, 3], [2, 3, 3, 3]])
    }
  }
}
