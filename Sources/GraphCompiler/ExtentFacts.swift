import TensorCore

/// How an extent follows from a named dimension, exactly and at every shape in the ranges:
/// `name * numerator / denominator + offset`. Without a name it is the number `offset`.
///
/// The denominator divides every product, because the named dimension has a divisor: of `y`, a multiple of 16, three
/// poolings leave `y/8`, a multiple of 2. Two extents with equal facts are equal at every shape.
package struct ExtentFact: Hashable, Sendable, CustomStringConvertible {
  package private(set) var name: String?
  package private(set) var numerator = 0
  package private(set) var denominator = 1
  package private(set) var offset: Int
  /// Divides every extent.
  package private(set) var divisor: Int

  /// A number.
  init(_ extent: Int) {
    offset = extent
    divisor = extent
  }

  /// The line through two points; `nil` if it misses whole numbers between them.
  init?(_ name: String, divisor: Int, from a: (named: Int, extent: Int), to b: (named: Int, extent: Int)) {
    let (rise, run) = (b.extent - a.extent, b.named - a.named)
    guard rise > 0, run > 0, rise * divisor % run == 0 else { return nil }
    let common = Self.greatestCommonDivisor(rise, run)
    self.name = name
    (numerator, denominator) = (rise / common, run / common)
    offset = a.extent - a.named * numerator / denominator
    self.divisor = Self.greatestCommonDivisor(rise * divisor / run, abs(offset))
  }

  /// - Parameter named: the extent of the named dimension.
  func extent(_ named: Int) -> Int { named * numerator / denominator + offset }

  /// - Parameter binding: the extents of the named dimensions.
  package func extent(at binding: [String: Int]) -> Int { extent(name.flatMap { binding[$0] } ?? 0) }

  private static func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int { b == 0 ? a : greatestCommonDivisor(b, a % b) }

  package var description: String {
    guard let name else { return "\(offset)" }
    let product = (numerator == 1 ? "" : "\(numerator)") + name + (denominator == 1 ? "" : "/\(denominator)")
    return offset == 0 ? product : product + (offset > 0 ? "+\(offset)" : "\(offset)")
  }
}

/// Carries facts from the inputs through a graph.
///
/// The operations' range rules say which extents come out for which go in. Along one axis all of them are linear but
/// for rounding down, so an output that grows evenly from the least to the largest extent of one name is linear between
/// them too: rounding that took more away in between would have to give it back. Axes that depend on several names, and
/// those that an operation holds as a parameter, have no fact.
enum FactInference {
  /// For every value the facts of its axes, for a graph whose ranges are known.
  ///
  /// - Parameters:
  ///   - most: the graph at the largest inputs.
  ///   - least: the graph at the smallest inputs, of the same structure.
  static func facts(
    _ most: Graph, _ least: Graph, declarations: [InputDeclaration], variables: [String: VariableRange]
  ) -> [[ExtentFact?]] {
    // What does not change has its extent as its fact.
    var facts = zip(most.values, least.values).map { most, least in
      zip(most.range.dimensions, least.shape.extents).map { range, extent in
        range.exact == extent ? ExtentFact(extent) : nil
      }
    }
    var ends: [String: (least: Int, most: Int)] = [:]
    for (name, range) in variables {
      guard let end = range.ends else { continue }
      if end.least < end.most { ends[name] = end }
    }
    guard !ends.isEmpty else { return facts }
    for (input, declaration) in zip(most.inputs, declarations) {
      for (axis, named) in declaration.axes.enumerated() {
        guard case .named(let name, let part) = named, let end = ends[name] else { continue }
        facts[input.value][axis] = ExtentFact(
          name, divisor: variables[name]?.divisor ?? 1, from: (end.least, end.least / part),
          to: (end.most, end.most / part))
      }
    }
    for (a, b) in zip(most.nodes, least.nodes) {
      let operations = a.operation is any ShapeBoundOperation ? [a.operation, b.operation] : [a.operation]
      let (inputFacts, inputRanges) = (a.inputs.map { facts[$0] }, a.inputs.map { most.values[$0].range })
      /// The exact extents that come out, with every name at its least but for some.
      func outputs(_ bound: [String: Int]) -> [[Int?]] {
        let inputs = zip(inputFacts, inputRanges).map { facts, range in
          ShapeRange(
            zip(facts, range.dimensions).map { fact, range in
              guard let fact else { return range }
              let named = fact.name.map { bound[$0] ?? ends[$0]?.least ?? 0 } ?? 0
              return DimensionRange(fact.extent(named))
            })
        }
        let results = operations.map { $0.ranges(of: inputs).map { $0.dimensions.map(\.exact) } }
        return zip(results[0], results[results.count - 1]).map { zip($0, $1).map { $0 == $1 ? $0 : nil } }
      }
      let names = Set(inputFacts.flatMap { $0.compactMap { $0?.name } }).sorted()
      let base = outputs([:])
      let single = names.map { outputs([$0: ends[$0]?.most ?? 0]) }
      let middle = names.map { name in
        ends[name].map { outputs([name: middleExtent($0, variables[name]?.divisor ?? 1)]) } ?? base
      }
      let all = outputs(ends.mapValues(\.most))
      for (position, output) in a.outputs.enumerated() {
        for axis in facts[output].indices where facts[output][axis] == nil {
          guard let low = base[position][axis], let high = all[position][axis] else { continue }
          let moving = names.indices.filter { single[$0][position][axis] != low }
          guard moving.count == 1, single[moving[0]][position][axis] == high, let end = ends[names[moving[0]]] else {
            continue
          }
          let divisor = variables[names[moving[0]]]?.divisor ?? 1
          let fact = ExtentFact(names[moving[0]], divisor: divisor, from: (end.least, low), to: (end.most, high))
          let between = middleExtent(end, divisor)
          if let fact, middle[moving[0]][position][axis] == fact.extent(between) { facts[output][axis] = fact }
        }
      }
    }
    return facts
  }

  private static func middleExtent(_ ends: (least: Int, most: Int), _ divisor: Int) -> Int {
    ends.least + (ends.most - ends.least) / divisor / 2 * divisor
  }
}

extension Graph.Value {
  /// Whether the facts foresaw this shape.
  func foresees(_ shape: Shape, at binding: ShapeBinding) -> Bool {
    zip(facts, shape.extents).allSatisfy { fact, extent in fact.map { $0.extent(at: binding) == extent } ?? true }
  }
}

extension Graph {
  /// The axes that operations need equal, and that no fact shows to be equal at every shape in the ranges: those are
  /// checked when a shape comes. One line each; for graphs as they were traced.
  package var unprovenEqualities: [String] {
    nodes.flatMap { node -> [String] in
      Self.equalAxes(of: node, self).compactMap { first, second in
        let facts = [first, second].map {
          values[$0.value].facts.indices.contains($0.axis) ? values[$0.value].facts[$0.axis] : nil
        }
        if let fact = facts[0], fact == facts[1] { return nil }
        return
          "\(type(of: node.operation).name): axis \(first.axis) of %\(first.value) and \(second.axis) of %\(second.value)"
      }
    }
  }

  private typealias Axis = (value: Int, axis: Int)

  /// Pairs of input axes whose extents must be equal for the operation to have a result.
  private static func equalAxes(of node: Node, _ graph: Graph) -> [(Axis, Axis)] {
    func pairs(_ values: [Int], except excluded: Int? = nil) -> [(Axis, Axis)] {
      let rank = graph.values[values[0]].shape.rank
      return values.dropFirst().flatMap { other in
        (0..<rank).filter { $0 != excluded }.map { ((values[0], $0), (other, $0)) }
      }
    }
    switch node.operation {
    case let operation as Concatenate: return pairs(node.inputs, except: operation.axis)
    case is ScaledAdd, is Select: return pairs(node.inputs)
    case is Add, is Subtract, is Multiply, is Divide, is Maximum, is Compare:
      let shapes = node.inputs.map { graph.values[$0].range.dimensions }
      let rank = min(shapes[0].count, shapes[1].count)
      return (0..<rank).compactMap { back in
        let axes = shapes.map { $0.count - 1 - back }
        // An axis of 1 is repeated.
        if shapes[0][axes[0]].exact == 1 || shapes[1][axes[1]].exact == 1 { return nil }
        return ((node.inputs[0], axes[0]), (node.inputs[1], axes[1]))
      }
    default: return []
    }
  }
}
