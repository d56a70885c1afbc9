import TensorCore

/// Computes cheap values again where they are needed late, instead of keeping them, until the graph stays within the
/// memory budget. Does nothing without a budget.
package struct Recomputation: GraphPass {
  package static let name = "recomputation"
  /// A reader this many operations after the one before it is late.
  private static let distance = 8

  package init() {}

  package func run(_ graph: Graph, _ context: inout PassContext) -> Graph {
    let (budget, evaluation) = (context.memoryBudget, context.evaluation)
    // Pairs: the value and the first node of those that read its copy.
    let choice = context.choice(of: Self.name) {
      guard let budget else { return [] }
      return Self.choose(graph, budget, evaluation)
    }
    var result = graph
    for pair in stride(from: 0, to: choice.count - 1, by: 2) {
      result = Self.recomputing(choice[pair], from: choice[pair + 1], result)
    }
    return result
  }

  private static func choose(_ graph: Graph, _ budget: Int, _ evaluation: EvaluationContext) -> [Int] {
    var (current, choice) = (graph, [Int]())
    var peak = current.peakByteCount(in: evaluation)
    while peak > budget {
      // The largest gain of any single value.
      var best: (value: Int, node: Int, graph: Graph, peak: Int)?
      for (value, node) in candidates(current) {
        let changed = recomputing(value, from: node, current)
        let changedPeak = changed.peakByteCount(in: evaluation)
        if changedPeak < best?.peak ?? peak { best = (value, node, changed, changedPeak) }
      }
      guard let best else { break }
      choice += [best.value, best.node]
      (current, peak) = (best.graph, best.peak)
    }
    return choice
  }

  /// Large values that are cheap to make, with the node after the longest time without a reader.
  private static func candidates(_ graph: Graph) -> [(value: Int, node: Int)] {
    let (producers, consumers) = (graph.producers, graph.consumers)
    let results = Set(graph.results)
    let largest = graph.values.map(\.byteCount).max() ?? 0
    return graph.values.indices.compactMap { value in
      guard let producer = producers[value], isCheap(graph.nodes[producer].operation), !results.contains(value),
        graph.values[value].byteCount * 16 >= largest
      else { return nil }
      var (widest, node, previous) = (distance, -1, producer)
      for consumer in consumers[value] {
        if consumer - previous > widest { (widest, node) = (consumer - previous, consumer) }
        previous = consumer
      }
      return node >= 0 ? (value, node) : nil
    }
  }

  /// One trip through memory, far cheaper than a convolution.
  private static func isCheap(_ operation: any Operation) -> Bool {
    switch operation {
    case is InstanceNormalizationActivation, is InstanceNormalization, is NormalizedActivation, is ResidualSum,
      is LeakyRectifier, is DropoutMask, is OneHot,
      is Softmax, is LogSoftmax, is Sigmoid, is Concatenate, is Upsample, is Broadcast, is Add, is Multiply,
      is ScaleOffset,
      is AveragePool, is Exponential, is Compare:
      true
    default: false
    }
  }

  /// The graph in which `value` is made again right before `node`, for it and all readers after it.
  private static func recomputing(_ value: Int, from node: Int, _ graph: Graph) -> Graph {
    guard let producer = graph.producers[value] else { return graph }
    var result = graph
    let original = graph.nodes[producer]
    let copy = result.makeNode(original.operation, original.inputs)
    guard let position = original.outputs.firstIndex(of: value) else { return graph }
    for index in node..<graph.nodes.count {
      result.nodes[index].inputs = result.nodes[index].inputs.map { $0 == value ? copy.outputs[position] : $0 }
    }
    result.nodes.insert(copy, at: node)
    return result
  }
}
