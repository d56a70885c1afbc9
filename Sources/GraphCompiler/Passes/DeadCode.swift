import TensorCore

/// Drops operations whose outputs nobody reads.
package struct DeadCode: GraphPass {
  package static let name = "dead-code"

  package init() {}

  package func run(_ graph: Graph, _ context: inout PassContext) -> Graph { graph.withoutDeadNodes() }
}

extension Graph {
  func withoutDeadNodes() -> Graph {
    var isRead = [Bool](repeating: false, count: values.count)
    for result in results { isRead[result] = true }
    var kept: [Node] = []
    for node in nodes.reversed() where node.outputs.contains(where: { isRead[$0] }) {
      for input in node.inputs { isRead[input] = true }
      kept.append(node)
    }
    var result = self
    result.nodes = kept.reversed()
    return result
  }
}
