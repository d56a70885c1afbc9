import GraphCompiler
import TensorCore
import Testing

/// What is known of extents beyond their ranges.
@Suite struct ExtentFactTests {
  private static let image = InputDeclaration("x", axes: [.named("n"), .named("y"), .named("x"), .fixed(2)])
  private static let weights = [
    InputDeclaration("w", shape: [2, 2, 3, 3]), InputDeclaration("v", shape: [2, 2, 2, 2]),
  ]

  private static func graph(
    _ multiple: Int, inputs: [InputDeclaration] = [image] + weights, _ body: @escaping @Sendable ([Tensor]) -> [Tensor]
  ) throws -> (graph: Graph, report: CompileReport) {
    let function = compile(
      inputs,
      [
        "n": VariableRange(1...3), "y": VariableRange(16...64, multipleOf: multiple),
        "x": VariableRange(16...64, multipleOf: multiple),
      ], options: testOptions { $0.disabledPasses = Set(Pipeline.names) }, body)
    let report = try #require(function.prepare())
    return (try #require(function.graphs.first).final, report)
  }

  private static func text(_ graph: Graph, _ output: Int) -> String {
    "\(graph.values[graph.outputs[output]].facts.map { $0.map { "\($0)" } ?? "?" }.joined(separator: ", "))"
  }

  @Test func multiplesAfterThreePoolings() throws {
    let window = PoolingWindow(kernel: [2, 2], stride: [2, 2], padding: [0, 0])
    let (graph, _) = try Self.graph(16, inputs: [Self.image]) { arguments in
      [AveragePool(window)(AveragePool(window)(MaxPool(window).apply(arguments)[0]))]
    }
    #expect(Self.text(graph, 0) == "n, y/8, x/8, 2")
    let facts = graph.values[graph.outputs[0]].facts.map { $0?.divisor }
    #expect(facts == [1, 2, 2, 2])
    // Of a multiple of 4 the third pooling loses a half now and then.
    let (rounded, _) = try Self.graph(4, inputs: [Self.image]) { arguments in
      [AveragePool(window)(AveragePool(window)(MaxPool(window).apply(arguments)[0]))]
    }
    #expect(Self.text(rounded, 0) == "n, ?, ?, 2")
  }

  /// Down by a strided convolution, up by a transposed one, and joined with what it came from.
  private static func network(_ arguments: [Tensor]) -> [Tensor] {
    let strided = ConvolutionGeometry(stride: [2, 2], padding: [1, 1])
    let low = arguments[0].convolved(with: arguments[1], bias: nil, strided)
    let high = TransposedConvolution(stride: [2, 2])(low, arguments[2])
    let joined = Tensor.concatenated([high, arguments[0]], axis: 3)
    return [low, high, joined, joined.padded(lower: [0, 1, 0, 0], upper: [0, 2, 0, 0]) * 2]
  }

  @Test func concatenationsAreProven() throws {
    let (graph, report) = try Self.graph(2) { Self.network($0) }
    #expect((0..<4).map { Self.text(graph, $0) } == ["n, y/2, x/2, 2", "n, y, x, 2", "n, y, x, 4", "n, y+3, x, 4"])
    #expect(report.unprovenEqualities.isEmpty && !report.description.contains("compared"))
    #expect(graph.text().contains("float32 [n 1...3, y/2 8...32, x/2 8...32, 2]"))
  }

  /// Where odd extents are in the ranges, the two parts of the concatenation are equal at some shapes only.
  @Test func whatHoldsAtSomeShapesIsNotProven() throws {
    let (graph, report) = try Self.graph(1) { Self.network($0) }
    #expect(Self.text(graph, 0) == "n, ?, ?, 2")
    #expect(report.unprovenEqualities.count == 2)
    #expect(report.unprovenEqualities.allSatisfy { $0.hasPrefix("Concatenate: axis") })
    #expect(report.description.contains("2 extent(s) to be compared at each shape"))
  }

  @Test func concatenationAlongANamedAxis() throws {
    let (graph, report) = try Self.graph(2, inputs: [Self.image]) { arguments in
      let twice = Tensor.concatenated([arguments[0], arguments[0]], axis: 1)
      return [twice, twice.sliced(axis: 3, 0..<1) + 1, twice.sum(axes: [1, 2], keepingAxes: false)]
    }
    #expect(Self.text(graph, 0) == "n, 2y, x, 2" && report.unprovenEqualities.isEmpty)
    #expect(graph.values[graph.outputs[0]].facts[1]?.divisor == 4)
    // A slice holds its extents as they were traced: only those that never change are known.
    #expect(Self.text(graph, 1) == "?, ?, ?, 1")
    #expect(Self.text(graph, 2) == "n, 2")
  }
}
