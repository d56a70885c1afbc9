import TensorCore

/// Adds a scaled value in the pass that adds: `a + s * b` is one operation where `s * b` is read by nobody else.
package struct MultiplyAccumulate: GraphPass {
  package static let name = "multiply-accumulate"

  package init() {}

  package func run(_ graph: Graph, _ context: inout PassContext) -> Graph {
    let (producers, consumers) = (graph.producers, graph.consumers)
    let results = Set(graph.results)
    var result = graph
    for (index, node) in graph.nodes.enumerated() where node.operation is Add {
      let (a, b) = (node.inputs[0], node.inputs[1])
      guard a != b, graph.values[a].shape == graph.values[b].shape else { continue }
      for (kept, scaled) in [(a, b), (b, a)] {
        guard
          let producer = producers[scaled], let scaling = graph.nodes[producer].operation as? ScaleOffset,
          scaling.offset == 0, consumers[scaled].count == 1, !results.contains(scaled)
        else { continue }
        result.nodes[index].operation = ScaledAdd(1, scaling.scale)
        result.nodes[index].inputs = [kept, graph.nodes[producer].inputs[0]]
        break
      }
    }
    return result.withoutDeadNodes()
  }
}
