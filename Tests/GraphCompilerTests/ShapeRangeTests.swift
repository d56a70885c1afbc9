import GraphCompiler
import TensorCore
import TensorTestSupport
import Testing

@Suite struct ShapeRangeTests {
  private static let inputs = [
    InputDeclaration("x", axes: [.named("batch"), .named("y"), .named("x"), .fixed(2)]),
    InputDeclaration("w", shape: [3, 2, 3, 3]),
  ]

  /// Strided convolution, normalisation, upsampling, a concatenation with the input, and gradients of it all.
  @Sendable private static func network(_ arguments: [Tensor]) -> [Tensor] {
    let (x, w) = (arguments[0], arguments[1])
    let ones = Tensor(repeating: 1, shape: [3])
    let low = x.convolved(with: w, bias: nil, ConvolutionGeometry(stride: [2, 2], padding: [1, 1]))
      .instanceNormalized(weight: ones, bias: ones, epsilon: 1e-5, negativeSlope: 0.01)
    let high = low.upsampled(to: x.shape.spatial, .linear)
    let joined = Tensor.concatenated([high, x], axis: 3)
    return [
      joined.softmax(), joined.mean(),
      low.averagePooled(PoolingWindow(kernel: [2, 2], stride: [2, 2], padding: [0, 0])),
    ]
  }

  private static func ranges(_ batch: ClosedRange<Int>, _ extent: ClosedRange<Int>) -> [String: VariableRange] {
    [
      "batch": VariableRange(batch), "y": VariableRange(extent, multipleOf: 4),
      "x": VariableRange(extent, multipleOf: 4),
    ]
  }

  private static func check(_ function: CompiledFunction<Void>, _ shape: Shape) {
    var inputs = [uniform(shape, seed: UInt64(shape.count)), uniform([3, 2, 3, 3], seed: 1)]
    let expected = network(inputs)
    let outputs = function.run(&inputs).outputs
    #expect(isSame(outputs, expected), "\(shape)")
  }

  @Test func oneCompilationServesEveryShapeInItsRanges() {
    let log = LogCollector()
    let function = compile(Self.inputs, Self.ranges(2...5, 8...24), options: exactOptions(), log: log, Self.network)
    var generator = RandomGenerator(seed: 8)
    for _ in 0..<12 {
      let (n, y, x) = (
        Int.random(in: 2...5, using: &generator), 4 * Int.random(in: 2...6, using: &generator),
        4 * Int.random(in: 2...6, using: &generator)
      )
      Self.check(function, [n, y, x, 2])
    }
    #expect(function.reports.count == 1 && log.messages.count == 1)
  }

  @Test func shapesOutsideCompileAgainWithOneLineAndABound() {
    let log = LogCollector()
    let function = compile(Self.inputs, Self.ranges(2...3, 8...12), options: exactOptions(), log: log, Self.network)
    Self.check(function, [2, 8, 12, 2])
    Self.check(function, [2, 16, 12, 2])
    Self.check(function, [2, 16, 12, 2])
    Self.check(function, [3, 8, 8, 2])
    #expect(function.reports.count == 2)
    #expect(log.messages.filter { $0.contains("compiling again for batch = 2, x = 12, y = 16") }.count == 1)
    for n in 4..<20 { Self.check(function, [n, 8, 8, 2]) }
    #expect(function.reports.count == 8)
  }

  /// Every value of the graph lies in its range, for random ranges and shapes inside them.
  @Test func rangesContainTheShapes() {
    var generator = RandomGenerator(seed: 9)
    for _ in 0..<10 {
      let least = 4 * Int.random(in: 2...4, using: &generator)
      let most = least + 4 * Int.random(in: 0...4, using: &generator)
      let function = compile(Self.inputs, Self.ranges(2...4, least...most)) { Self.network($0) }
      var inputs = [uniform([3, least, most, 2], seed: 1), uniform([3, 2, 3, 3], seed: 1)]
      _ = function.run(&inputs)
      for graph in function.graphs {
        for extents in [(2, least, least), (4, most, least), (3, least, most), (4, most, most)] {
          var arguments = [uniform([extents.0, extents.1, extents.2, 2], seed: 1), uniform([3, 2, 3, 3], seed: 1)]
          let fixed = arguments.enumerated().map { InputDeclaration("\($0)", shape: $1.shape) }
          let other = compile(fixed) { Self.network($0) }
          _ = other.run(&arguments)
          let values = other.graphs[0].final.values
          #expect(values.count == graph.final.values.count)
          for (wide, narrow) in zip(graph.final.values, values) { #expect(wide.range.contains(narrow.shape)) }
        }
        // Exact where the operation is: the pooled extents.
        let pooled = graph.final.values[graph.final.outputs[2]].range
        #expect(pooled[1] == DimensionRange(least / 4, most / 4) && pooled[3].exact == 3)
      }
    }
  }

  @Test(arguments: [true, false])
  func undeclaredNamesWarnOnceAndChangeNothing(_ warns: Bool) {
    let log = LogCollector()
    let variables = ["batch": VariableRange(2...4)]
    var options = exactOptions()
    options.warns = warns
    let function = compile(
      Self.inputs, variables, options: options, log: log, Self.network)
    Self.check(function, [2, 8, 12, 2])
    Self.check(function, [3, 20, 8, 2])
    Self.check(function, [2, 8, 12, 2])
    Self.check(function, [4, 8, 40, 2])
    let warnings = log.messages.filter { $0.contains("is not in var_ranges, defaulting to unknown range") }
    #expect(
      warnings
        == (warns ? ["y", "x"] : []).map { "\($0) is not in var_ranges, defaulting to unknown range" })
    #expect(function.reports.count == 1 && function.reports[0].unknownNames == ["y", "x"])
    let output = function.graphs[0].final.values[function.graphs[0].final.outputs[0]].range
    #expect(output[1] == .unknown && output[0].contains(3))
  }

  /// Many functions that miss the same name warn once together, and each counts it in its report. A function whose
  /// warnings are off does not use up the others' warning.
  @Test func undeclaredNamesWarnOnceForAllFunctions() {
    let (log, warnings) = (LogCollector(), CompileWarnings())
    let names = [["n"], ["n"], ["n", "m"], ["m"]]
    for (index, names) in names.enumerated() {
      var options = testOptions()
      options.warns = index > 0
      let inputs = names.map { InputDeclaration("x", axes: [.named($0)]) }
      let function = compile(inputs, options: options, log: log, warnings: warnings) { [$0[0] + 1] }
      var arguments = names.map { _ in uniform([3], seed: 1) }
      _ = function.run(&arguments)
      #expect(function.reports.map(\.unknownNames) == [names])
      #expect(function.reports[0].description.contains("\(names.count) dimension(s) of unknown range"))
    }
    #expect(
      log.messages.filter { $0.contains("var_ranges") }
        == ["n", "m"].map { "\($0) is not in var_ranges, defaulting to unknown range" })
  }

  /// Compiled before there are arguments, for the largest shapes; running compiles no more.
  @Test func memoryIsKnownBeforeTheFirstRun() throws {
    let function = compile(Self.inputs, Self.ranges(2...3, 8...12), options: exactOptions(), Self.network)
    let report = try #require(function.prepare())
    #expect(report.peakByteCount > 4 * 3 * 12 * 12 * 5 && function.prepare() == report)
    Self.check(function, [2, 8, 12, 2])
    #expect(function.reports == [report])
    let open = compile(Self.inputs, ["batch": VariableRange(2...4)], options: exactOptions(), Self.network)
    #expect(open.prepare() == nil)
    let off = compile(
      Self.inputs, Self.ranges(2...3, 8...12), options: testOptions { $0.isEnabled = false }, Self.network)
    #expect(off.prepare() == nil && off.reports.isEmpty)
  }

  /// A function that does other things for other shapes serves only shapes alike.
  @Test func structureThatDependsOnTheShape() {
    let log = LogCollector()
    let function = compile(
      [InputDeclaration("x", axes: [.named("n")])], ["n": VariableRange(1...9)], log: log
    ) { arguments in arguments[0].count > 5 ? [arguments[0] * arguments[0]] : [arguments[0] + arguments[0] * 3] }
    for n in [4, 7, 4, 9] {
      var inputs = [uniform([n], seed: 3)]
      let x = inputs[0].elements()
      #expect(function.run(&inputs).outputs[0].elements() == x.map { n > 5 ? $0 * $0 : $0 + $0 * 3 })
    }
    #expect(log.messages.contains { $0.contains("the operations depend on the shapes") })
  }
}
