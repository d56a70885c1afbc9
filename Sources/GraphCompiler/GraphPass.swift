import TensorCore

/// A change of a graph that leaves its results what they are. Pure: the same graph gives the same graph.
package protocol GraphPass: Sendable {
  /// What `nnUNet_compile_disable` calls it.
  static var name: String { get }

  func run(_ graph: Graph, _ context: inout PassContext) -> Graph
}

/// What passes know besides the graph.
package struct PassContext: Sendable {
  /// Bytes that activations should stay within, if there is a wish.
  var memoryBudget: Int?
  /// The most positions of a slab, where convolutions are cut into slabs.
  var slabPositions: Int
  /// With what the graph will run.
  var evaluation: EvaluationContext
  /// Choices that depend on sizes are made once, at the largest shapes, and repeated for the others: they all share one
  /// memory plan. By the pass' name.
  var choices: [String: [Int]] = [:]
  /// Whether `choices` are to be repeated.
  var isRepeating = false

  /// The choice of a pass: made by `body` at the largest shapes.
  mutating func choice(of pass: String, _ body: () -> [Int]) -> [Int] {
    if isRepeating { return choices[pass] ?? [] }
    let choice = body()
    choices[pass] = choice
    return choice
  }
}

/// The passes in the order they run.
package struct Pipeline: Sendable {
  var passes: [any GraphPass]
  var disabled: Set<String>

  package static let standardPasses: [any GraphPass] = [
    Simplification(), ConstantFolding(), CommonSubexpressions(), DeadCode(), ConcatenationRemoval(),
    ActivationGradients(), StatisticsInEpilogue(), NormalizedLoads(), ResidualSums(), MultiplyAccumulate(),
    ConvolutionSlabs(), Recomputation(), Scheduling(),
  ]

  /// Every name that can be switched off. `in-place` is a part of the memory plan.
  package static var names: [String] { standardPasses.map { type(of: $0).name } + [BufferAssignment.inPlaceName] }

  /// - Parameter observe: gets every pass' name and result.
  func run(
    _ graph: Graph, _ context: inout PassContext, verifying: Bool, _ observe: (String, Graph) -> Void
  ) throws(CompileError) -> Graph {
    var current = graph
    for pass in passes {
      let name = type(of: pass).name
      if disabled.contains(name) { continue }
      current = pass.run(current, &context).compacted()
      if verifying { try current.verify(after: name) }
      observe(name, current)
    }
    if !verifying { try current.verify(after: "all passes") }
    return current
  }
}
