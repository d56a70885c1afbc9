import Autograd
import GraphCompiler
import TensorCore
import TensorTestSupport
import Testing

/// Convolutions of large tensors in slabs: of an upsampled source, and over their own input.
@Suite struct ConvolutionSlabsTests {
  /// A U-Net of two stages; the arguments after the image are its weights.
  private static func network(_ arguments: [Tensor]) -> [Tensor] {
    func block(_ x: Tensor, _ weight: Tensor, stride: Int) -> Tensor {
      let channels = weight.shape[0]
      return x.convolved(
        with: weight, bias: nil, ConvolutionGeometry(stride: [stride, stride, stride], padding: [1, 1, 1])
      ).instanceNormalized(
        weight: Tensor(repeating: 1, shape: [channels]), bias: Tensor(repeating: 0.1, shape: [channels]),
        epsilon: 1e-5, negativeSlope: 0.01)
    }
    let skip = block(block(arguments[0], arguments[1], stride: 1), arguments[2], stride: 1)
    let coarse = block(skip, arguments[3], stride: 2)
    let upsampled = coarse.upsampled(with: arguments[4], bias: nil, stride: [2, 2, 2])
    let joined = block(Tensor.concatenated([upsampled, skip], axis: 4), arguments[5], stride: 1)
    return [joined.convolved(with: arguments[6], bias: nil, ConvolutionGeometry(preserving: [1, 1, 1]))]
  }

  private static let weights: [Shape] = [
    [16, 1, 3, 3, 3], [16, 16, 3, 3, 3], [24, 16, 3, 3, 3], [24, 16, 2, 2, 2], [16, 32, 3, 3, 3], [2, 16, 1, 1, 1],
  ]
  private static let inputs =
    [InputDeclaration("x", axes: [.named("n"), .named("z"), .named("y"), .named("x"), .fixed(1)])]
    + weights.enumerated().map { InputDeclaration("w\($0)", shape: $1) }
  private static let variables = Dictionary(
    uniqueKeysWithValues: ["n", "z", "y", "x"].map {
      ($0, $0 == "n" ? VariableRange(1...2) : VariableRange(4...24, multipleOf: 2))
    })

  private static func arguments(_ extents: [Int]) -> [Tensor] {
    [uniform(Shape(extents + [1]), seed: 1)] + weights.enumerated().map { uniform($1, seed: UInt64($0 + 2)) }
  }

  private static func compiled(
    slabPositions: Int, disabled: Set<String> = [], _ body: @escaping @Sendable ([Tensor]) -> [Tensor]
  ) -> CompiledFunction<Void> {
    let options = testOptions {
      $0.slabPositions = slabPositions
      $0.disabledPasses = disabled
    }
    return compile(inputs, variables, options: options, body)
  }

  private func slabs(_ graph: Graph) -> [SlabConvolution] {
    graph.nodes.compactMap { $0.operation as? SlabConvolution }
  }

  @Test func networkInSlabs() throws {
    let function = Self.compiled(slabPositions: 2500) { Self.network($0) }
    for extents in [[2, 24, 24, 24], [1, 10, 22, 24], [2, 4, 4, 6], [1, 24, 8, 12]] {
      var inputs = Self.arguments(extents)
      let expected = Self.network(inputs)
      for _ in 0..<2 {
        let output = function.run(&inputs).outputs[0]
        expectClose(output, ReferenceArray(expected[0]), tolerance: 2e-5, "\(extents)")
      }
    }
    #expect(function.reports.count == 1)
    let final = try #require(function.graphs.first?.final)
    #expect(slabs(final).map { $0.upsampling != nil } == [false, true])
    #expect(!final.nodes.contains { $0.operation is FusedTransposedConvolution })
  }

  /// Three tensors of the finest stage without slabs; little more than one with them. Nothing runs: peaks are planned.
  @Test func peakIsLower() throws {
    let volumes = Self.variables.mapValues { $0.divisor == 1 ? VariableRange(1...1) : VariableRange(8...128) }
    func peak(_ disabled: Set<String>) -> Int {
      let options = testOptions { $0.disabledPasses = disabled }
      let function = compile(Self.inputs, volumes, options: options) { Self.network($0) }
      return function.prepare(for: Self.arguments([1, 8, 8, 8]))?.arenaByteCount ?? 0
    }
    let finest = 128 * 128 * 128 * 16 * 4
    let (slabs, without, beside) = (peak([]), peak(["convolution-slabs"]), peak(["in-place"]))
    #expect(slabs > finest && slabs < finest + finest / 2, "\(slabs) \(finest)")
    #expect(beside > 2 * finest && beside < 3 * finest && without > 3 * finest, "\(beside) \(without) \(finest)")
  }

  @Test func smallConvolutionsStayWhole() throws {
    let function = Self.compiled(slabPositions: 1 << 16) { Self.network($0) }
    var inputs = Self.arguments([1, 8, 8, 8])
    _ = function.run(&inputs)
    let final = try #require(function.graphs.first?.final)
    #expect(slabs(final).isEmpty)
  }

  /// A result of the function has memory of its own, wherever it comes from.
  @Test func resultsHaveMemoryOfTheirOwn() throws {
    let body: @Sendable ([Tensor]) -> [Tensor] = { arguments in
      let geometry = ConvolutionGeometry(preserving: [3, 3, 3])
      let first = arguments[0].convolved(with: arguments[1], bias: nil, geometry)
      let second = first.convolved(with: arguments[2], bias: nil, geometry)
      let third = second.convolved(with: arguments[2], bias: nil, geometry)
      return [third.leakyRectified(negativeSlope: 0.1)]
    }
    let function = Self.compiled(slabPositions: 1000, body)
    for extents in [[1, 24, 24, 24], [2, 12, 8, 10]] {
      var inputs = Self.arguments(extents)
      let expected = body(inputs)
      #expect(isSame(function.run(&inputs).outputs, expected))
    }
    let final = try #require(function.graphs.first?.final)
    #expect(slabs(final).count == 2)
  }

  /// What a gradient reads stays whole, and gradients are those without compilation.
  @Test func trainingKeepsWhatGradientsRead() throws {
    let body: @Sendable ([Tensor]) -> [Tensor] = { arguments in
      let tape = Tape()
      let followed = [arguments[0]] + arguments.dropFirst().map(tape.follow)
      let result = Self.network(followed)[0]
      return tape.optionalGradients(of: [(value: (result * result).sum(), seed: nil)], for: Array(followed.dropFirst()))
        .compactMap { $0 }
    }
    let function = Self.compiled(slabPositions: 1000, body)
    var inputs = Self.arguments([1, 16, 16, 16])
    let expected = body(inputs)
    let outputs = function.run(&inputs).outputs
    #expect(outputs.count == Self.weights.count && expected.count == outputs.count)
    for (index, (a, b)) in zip(outputs, expected).enumerated() {
      expectClose(a, ReferenceArray(b), tolerance: 1e-4, "gradient \(index)")
    }
    let final = try #require(function.graphs.first?.final)
    #expect(function.reports.count == 1 && slabs(final).isEmpty)
  }

  /// Memory in use stays within what was announced, at any shape in range, and nothing is allocated in steady state. In a
  /// process of its own, because the counts are the process'.
  @Test func memoryIsPlanned() async {
    await #expect(processExitsWith: .success) {
      let function = Self.compiled(slabPositions: 2500) { Self.network($0) }
      for extents in [[2, 24, 24, 24], [1, 12, 22, 24]] {
        var inputs = Self.arguments(extents)
        for _ in 0..<2 { _ = function.run(&inputs) }
        let before = StoragePool.shared.statistics
        StoragePool.shared.resetPeak()
        for _ in 0..<2 { _ = function.run(&inputs) }
        let after = StoragePool.shared.statistics
        check(after.systemAllocations == before.systemAllocations, "allocated: \(before) \(after)")
        check(
          after.peakBytesInUse - before.bytesInUse <= function.reports[0].peakByteCount,
          "\(after) \(before) \(function.reports[0])")
      }
    }
  }
}
