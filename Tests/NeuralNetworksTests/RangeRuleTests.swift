import Foundation
import GraphCompiler
import Logging
import NeuralNetworks
import TensorCore
import TensorTestSupport
import Testing

/// Every operation's range rule as compiled functions use it: for random ranges of named extents and shapes inside them,
/// every extent that comes out lies in its range, and both ends of the range are reached.
@Suite struct RangeRuleTests {
  /// The traced operations, as they are.
  private static let options: CompilerOptions = {
    var options = CompilerOptions()
    options.verifiesEveryPass = true
    options.disabledPasses = Set(Pipeline.names)
    return options
  }()

  private typealias Binding = [String: Int]

  private static func function(
    _ rule: RangeRuleCase, _ variables: [String: VariableRange]
  ) -> CompiledFunction<Void> {
    CompiledFunction(
      rule.name, inputs: rule.inputs, variables: variables, options: options,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    ) { FunctionResult(outputs: rule.body($0), updates: [:], note: ()) }
  }

  @Test(arguments: RangeRuleCase.all)
  func outputsLieInTheirRanges(_ rule: RangeRuleCase) throws { try Self.check(rule) }

  /// Rules that are wrong are found: one that misses an end, one that is too wide, one that forgets an axis.
  @Test(arguments: WrongRange.Mistake.allCases)
  func wrongRulesAreFound(_ mistake: WrongRange.Mistake) {
    let rule = RangeRuleCase("WrongRange", ["n y"]) { WrongRange(mistake: mistake).apply($0) }
    withKnownIssue { try Self.check(rule) }
  }

  private static func check(_ rule: RangeRuleCase) throws {
    var generator = RandomGenerator(seed: rule.name.utf8.reduce(7) { $0 &* 31 &+ UInt64($1) })
    for round in 0..<6 {
      var variables = rule.variables.mapValues { Self.part(of: $0, &generator) }
      let ends = variables.mapValues { $0.ends ?? (1, 1) }
      let open = round == 5 ? variables.keys.sorted().first : nil
      if let open { variables[open]?.range.upper = nil }
      let function = function(rule, variables)
      let corners = Self.corners(ends)
      let report = function.prepare(for: Self.arguments(rule, corners[0]))
      #expect(report != nil && function.reports.count == 1, "\(rule.name) was not compiled")
      let graph = try #require(function.graphs.first).final
      let ranges = graph.outputs.map { graph.values[$0].range }
      let inner = (0..<4).map { _ in
        Dictionary(
          uniqueKeysWithValues: ends.sorted { $0.key < $1.key }.map { name, ends in
            let divisor = rule.variables[name]?.divisor ?? 1
            return (name, Int.random(in: ends.least / divisor...ends.most / divisor, using: &generator) * divisor)
          })
      }
      let shapes = (corners + inner).map { rule.body(Self.arguments(rule, $0)).map(\.shape) }
      for (binding, outputs) in zip(corners + inner, shapes) {
        #expect(
          outputs.count == ranges.count && zip(ranges, outputs).allSatisfy { $0.contains($1) },
          "\(rule.name): \(variables) give \(ranges), \(binding) gives \(outputs)")
        // What is said to follow from the names does.
        for (value, shape) in zip(graph.outputs.map { graph.values[$0] }, outputs) {
          for (fact, extent) in zip(value.facts, shape.extents) {
            #expect(fact.map { $0.extent(at: binding) == extent && extent % max($0.divisor, 1) == 0 } ?? true)
          }
        }
      }
      for (position, range) in ranges.enumerated() where open == nil {
        for (axis, dimension) in range.dimensions.enumerated() {
          let extents = shapes.prefix(corners.count).map { $0[position][axis] }
          #expect(
            dimension == DimensionRange(extents.min() ?? 0, extents.max()),
            "\(rule.name), output \(position), axis \(axis): \(variables) give \(dimension), which is too wide")
        }
      }
      Self.checkWidened(graph, rule.name, &generator)
    }
  }

  /// The rules hold where inputs that must fit each other come with different ranges too.
  private static func checkWidened(_ graph: Graph, _ name: String, _ generator: inout RandomGenerator) {
    for node in graph.nodes {
      let inputs = node.inputs.map { value in
        ShapeRange(
          graph.values[value].shape.extents.map { extent in
            let upper = extent + Int.random(in: 0...3, using: &generator)
            return DimensionRange(
              max(0, extent - Int.random(in: 0...3, using: &generator)), Bool.random(using: &generator) ? upper : nil)
          })
      }
      let ranges = node.operation.ranges(of: inputs)
      for (range, output) in zip(ranges, node.outputs) {
        let shape = graph.values[output].shape
        #expect(range.contains(shape), "\(name): \(inputs) give \(ranges), but \(shape) comes out")
      }
      #expect(ranges.count == node.outputs.count)
    }
  }

  /// A range inside another, with its divisor.
  private static func part(of widest: VariableRange, _ generator: inout RandomGenerator) -> VariableRange {
    guard let ends = widest.ends else { return widest }
    let divisor = widest.divisor
    let bounds = (0..<2).map { _ in Int.random(in: ends.least / divisor...ends.most / divisor, using: &generator) }
    return VariableRange(min(bounds[0], bounds[1]) * divisor...max(bounds[0], bounds[1]) * divisor, multipleOf: divisor)
  }

  /// All combinations of least and largest extents.
  private static func corners(_ ends: [String: (least: Int, most: Int)]) -> [Binding] {
    ends.reduce([[:]]) { bindings, entry in
      bindings.flatMap { binding in
        Set([entry.value.least, entry.value.most]).map { binding.merging([entry.key: $0]) { $1 } }
      }
    }
  }

  private static func arguments(_ rule: RangeRuleCase, _ binding: Binding) -> [Tensor] {
    rule.inputs.map { input in
      let shape = Shape(
        input.axes.map { axis in
          switch axis {
          case .fixed(let extent): extent
          case .named(let name, let divisor): (binding[name] ?? 0) / divisor
          }
        })
      return switch input.elementType {
      case .float32: Tensor(repeating: 0.5, shape: shape)
      case .int16: Tensor([Int16](repeating: 0, count: shape.count), shape: shape)
      case .uint8: Tensor([UInt8](repeating: 0, count: shape.count), shape: shape)
      case .uint64: Tensor([UInt64](repeating: 0, count: shape.count), shape: shape)
      }
    }
  }

  /// The cases cover every operation there is: read from the sources, so that none can be forgotten.
  @Test func everyOperationHasACase() throws {
    let sources = URL(fileURLWithPath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Sources")
    let declaration = #/struct (\w+): (?:\w+)?Operation\b/#
    var declared: Set<String> = []
    let files = try #require(FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil))
    for case let file as URL in files where file.pathExtension == "swift" {
      for match in try String(contentsOf: file, encoding: .utf8).matches(of: declaration) {
        declared.insert(String(match.output.1))
      }
    }
    var covered: Set<String> = []
    for rule in RangeRuleCase.all {
      let function = Self.function(rule, rule.variables)
      let least = rule.variables.mapValues { $0.ends?.least ?? 1 }
      function.prepare(for: Self.arguments(rule, least))
      for node in function.graphs.first?.final.nodes ?? [] { covered.insert(type(of: node.operation).name) }
    }
    #expect(declared.count > 60)
    #expect(
      declared == covered,
      "add to RangeRuleCase.all: \(declared.subtracting(covered)); not declared: \(covered.subtracting(declared))")
  }
}

/// Adds a row to `[N, Y]`, with a mistake in its range rule.
struct WrongRange: TensorCore.Operation {
  enum Mistake: CaseIterable, Hashable {
    case missesTheEnd, isTooWide, forgetsTheRow
  }

  var mistake: Mistake

  func shapes(of inputs: [Shape]) -> [Shape] { [[inputs[0][0], inputs[0][1] + 1]] }

  func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    let (n, y) = (inputs[0][0], inputs[0][1] + DimensionRange(1))
    return switch mistake {
    case .missesTheEnd: [[n, DimensionRange(y.lower, y.upper.map { max(y.lower, $0 - 1) })]]
    case .isTooWide: [[n, DimensionRange(y.lower - 1, y.upper)]]
    case .forgetsTheRow: [inputs[0]]
    }
  }

  func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    outputs[0].floats.update(repeating: 0, count: outputs[0].count)
  }

  var gradientNeeds: GradientNeeds { GradientNeeds() }

  func gradients(_ context: GradientContext) -> [Tensor?] { [nil] }
}
