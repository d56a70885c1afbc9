import TensorCore

/// Reorders operations so that less memory is in use at once: always takes, of those that are ready, the one that frees
/// most. Keeps the order of the trace where that is better.
package struct Scheduling: GraphPass {
  package static let name = "scheduling"

  package init() {}

  package func run(_ graph: Graph, _ context: inout PassContext) -> Graph {
    let evaluation = context.evaluation
    let order = context.choice(of: Self.name) {
      let order = Self.greedyOrder(graph)
      let peaks = [graph, graph.reordered(order)].map {
        $0.peakByteCount(in: evaluation)
      }
      return peaks[1] < peaks[0] ? order : Array(graph.nodes.indices)
    }
    return order.count == graph.nodes.count ? graph.reordered(order) : graph
  }

  private static func greedyOrder(_ graph: Graph) -> [Int] {
    let (producers, consumers) = (graph.producers, graph.consumers)
    var missing = graph.nodes.map { node in Set(node.inputs.compactMap { producers[$0] }).count }
    var usesLeft = consumers.map(\.count)
    for result in graph.results { usesLeft[result] += 1 }
    var ready = graph.nodes.indices.filter { missing[$0] == 0 }
    var order: [Int] = []
    /// Bytes that running a node adds.
    func growth(_ index: Int) -> Int {
      let node = graph.nodes[index]
      if node.operation.isRelabelling { return 0 }
      let made = node.outputs.reduce(0) { $0 + graph.values[$1].byteCount }
      let freed = Set(node.inputs).reduce(0) { sum, value in
        usesLeft[value] == 1 && producers[value] != nil ? sum + graph.values[value].byteCount : sum
      }
      return made - freed
    }
    while !ready.isEmpty {
      // Of equals the one that came first in the trace.
      var (best, bestGrowth) = (0, Int.max)
      for (position, index) in ready.enumerated() {
        let growth = growth(index)
        if growth < bestGrowth || (growth == bestGrowth && index < ready[best]) {
          (best, bestGrowth) = (position, growth)
        }
      }
      let index = ready.remove(at: best)
      order.append(index)
      for input in Set(graph.nodes[index].inputs) { usesLeft[input] -= 1 }
      for follower in Set(graph.nodes[index].outputs.flatMap { consumers[$0] }) {
        missing[follower] -= 1
        if missing[follower] == 0 { ready.append(follower) }
      }
    }
    return order
  }
}

extension Graph {
  func reordered(_ order: [Int]) -> Graph {
    var result = self
    result.nodes = order.map { nodes[$0] }
    return result
  }
}
