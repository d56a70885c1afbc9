import GraphCompiler
import TensorCore
import TensorTestSupport
import Testing

@Suite struct PassTests {
  private static let x = InputDeclaration("x", shape: [2, 3])

  private func names(_ graph: Graph) -> [String] { graph.nodes.map { type(of: $0.operation).name } }

  private func final(
    _ inputs: [InputDeclaration], disabled: Set<String> = [], _ body: @escaping @Sendable ([Tensor]) -> [Tensor]
  ) -> Graph {
    let function = compile(inputs, options: testOptions { $0.disabledPasses = disabled }, body)
    var arguments = inputs.enumerated().map { index, input in
      uniform(Shape(input.axes.map { if case .fixed(let extent) = $0 { extent } else { 1 } }), seed: UInt64(index))
    }
    let expected = body(arguments)
    let outputs = function.run(&arguments).outputs
    #expect(outputs.map(\.bytes) == expected.map(\.bytes))
    return function.graphs[0].final
  }

  @Test func simplification() {
    let body: @Sendable ([Tensor]) -> [Tensor] = { arguments in
      let x = arguments[0]
      let turned = Transpose([1, 0])(Transpose([1, 0])(x))
      let relabelled = Reshape(to: [2, 3])(Reshape(to: [6])(turned))
      let same = (relabelled * 1 * Tensor(repeating: 1, shape: [3])) / Tensor(1)
      return [-(-(same * 2 * 3)), Slice(lower: [0, 0], upper: [2, 3])(same).exponential()]
    }
    #expect(names(final([Self.x], body)) == ["ScaleOffset", "Exponential"])
    #expect(names(final([Self.x], disabled: ["simplification"], body)).count > 8)
  }

  @Test func commonSubexpressions() {
    let body: @Sendable ([Tensor]) -> [Tensor] = { arguments in
      let x = arguments[0]
      return [(x + Tensor(3)).exponential() * (x + Tensor(3)).exponential()]
    }
    #expect(names(final([Self.x], body)) == ["Add", "Exponential", "Multiply"])
    #expect(names(final([Self.x], disabled: ["common-subexpressions"], body)).count == 5)
  }

  @Test func deadCode() {
    let body: @Sendable ([Tensor]) -> [Tensor] = { arguments in
      _ = arguments[0].exponential().sum()
      return [arguments[0].squareRoot().softplus()]
    }
    #expect(names(final([Self.x], body)) == ["SquareRoot", "Softplus"])
  }

  @Test func multiplyAccumulate() {
    // Powers of two, so that one rounding less changes nothing.
    let body: @Sendable ([Tensor]) -> [Tensor] = { [$0[0] * 0.5 + $0[1]] }
    let inputs = [Self.x, InputDeclaration("y", shape: [2, 3])]
    #expect(names(final(inputs, body)) == ["ScaledAdd"])
    #expect(names(final(inputs, disabled: ["multiply-accumulate"], body)) == ["ScaleOffset", "Add"])
  }

  @Test func residualSums() {
    let inputs = [[2, 4, 5, 3], [3, 2, 3], [2, 4, 5, 3], [3, 2, 3]].map { InputDeclaration("x", shape: Shape($0)) }
    @Sendable func main(_ arguments: [Tensor]) -> Tensor {
      NormalizedActivation(negativeSlope: 1)(arguments[0], arguments[1])
    }
    @Sendable func skip(_ arguments: [Tensor], slope: Float) -> Tensor {
      NormalizedActivation(negativeSlope: slope)(arguments[2], arguments[3])
    }
    let both: @Sendable ([Tensor]) -> [Tensor] = {
      [(main($0) + skip($0, slope: 0.5)).leakyRectified(negativeSlope: 0.1)]
    }
    #expect(names(final(inputs, both)) == ["ResidualSum"])
    #expect(
      names(final(inputs, disabled: ["residual-sums"], both))
        == ["NormalizedActivation", "NormalizedActivation", "Add", "LeakyRectifier"])
    #expect(names(final(inputs) { [($0[2] + main($0)).leakyRectified(negativeSlope: 0)] }) == ["ResidualSum"])
    #expect(names(final(inputs) { [$0[2] + main($0)] }) == ["ResidualSum"])
    #expect(names(final(inputs) { [($0[2] + $0[0]).leakyRectified(negativeSlope: 0.1)] }) == ["ResidualSum"])
    // A normalised activation or a sum that somebody else reads stays.
    let shared = final(inputs) { arguments in
      let x = main(arguments)
      return [(x + arguments[2]).leakyRectified(negativeSlope: 0.1), x.exponential()]
    }
    #expect(Set(names(shared)) == ["NormalizedActivation", "ResidualSum", "Exponential"] && shared.nodes.count == 3)
    #expect(shared.nodes.first { $0.operation is ResidualSum }?.inputs.count == 2)
    let result = final(inputs) { arguments in
      let sum = main(arguments) + arguments[2]
      return [sum, sum.leakyRectified(negativeSlope: 0.1)]
    }
    #expect(names(result) == ["ResidualSum", "LeakyRectifier"])
    // Neither a sum alone nor one that repeats a summand.
    #expect(names(final(inputs) { [$0[0] + $0[2]] }) == ["Add"])
    #expect(
      names(
        final([InputDeclaration("x", shape: [2, 3]), InputDeclaration("y", shape: [3])]) {
          [($0[0] + $0[1]).leakyRectified(negativeSlope: 0.1)]
        }) == ["Add", "LeakyRectifier"])
  }

  @Test func recomputationMeetsABudget() {
    let body: @Sendable ([Tensor]) -> [Tensor] = { arguments in
      // An early value that is read again at the end.
      let early = arguments[0].sigmoid()
      var current = early.softplus()
      for _ in 0..<12 { current = current.sum(axes: [0], keepingAxes: true).exponential() + arguments[0] }
      return [(current * early).sum()]
    }
    let inputs = [InputDeclaration("x", shape: [64, 1024])]
    func report(_ budget: Int?) -> (peak: Int, count: Int, bytes: [UInt8]) {
      let function = compile(inputs, options: testOptions { $0.memoryBudget = budget }, body)
      var arguments = [uniform([64, 1024], seed: 1)]
      let bytes = function.run(&arguments).outputs[0].bytes
      return (function.reports[0].arenaByteCount, function.graphs[0].final.nodes.count, bytes)
    }
    let (free, bounded) = (report(nil), report(400_000))
    #expect(bounded.peak < free.peak && bounded.count > free.count && bounded.bytes == free.bytes)
  }

  @Test func namesOfPassesThereAreNone() {
    let log = LogCollector()
    let function = compile(
      [Self.x], options: testOptions { $0.disabledPasses = ["dead-code", "nothing"] }, log: log
    ) { [$0[0] + $0[0]] }
    var arguments = [uniform([2, 3], seed: 1)]
    _ = function.run(&arguments)
    #expect(log.messages.contains { $0.contains("there is no pass nothing") })
  }

  @Test func optionsFromTheEnvironment() {
    let variables = [
      "nnUNet_compile": "f", "nnUNet_compile_warnings": "False", "nnUNet_compile_debug": "passes,graph",
      "nnUNet_compile_disable": "dead-code, scheduling", "nnUNet_compile_memory": "1.5G",
    ]
    let options = CompilerOptions { variables[$0] }
    #expect(!options.isEnabled && !options.warns && options.printsPasses && options.printsGraphs)
    #expect(options.disabledPasses == ["dead-code", "scheduling"] && options.memoryBudget == 3 << 29)
    let standard = CompilerOptions { _ in nil }
    #expect(standard.isEnabled && standard.warns && !standard.printsPasses && standard.memoryBudget == nil)
    #expect(CompilerOptions { _ in "t" }.isEnabled)
  }

  @Test func verifierFindsDamage() {
    let function = compile([Self.x]) { [$0[0].exponential().sum()] }
    var arguments = [uniform([2, 3], seed: 1)]
    _ = function.run(&arguments)
    let graph = function.graphs[0].final
    #expect(graph.problem == nil)
    var damaged = graph
    damaged.nodes.swapAt(0, 1)
    #expect(damaged.problem == "Sum reads %1 before anything makes it")
    damaged = graph
    damaged.values[1].shape = [3, 2]
    #expect(damaged.problem?.contains("makes %1 as float32 [2, 3], not float32 [3, 2]") == true)
    damaged = graph
    damaged.outputs = [7]
    #expect(damaged.problem == "nothing makes the result %7")
    damaged = graph
    damaged.nodes[1].outputs = [1]
    #expect(damaged.problem?.contains("made twice") == true)
  }
}
