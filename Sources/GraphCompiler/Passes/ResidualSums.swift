import TensorCore

/// Adds the branches of a residual block, normalises them and activates the sum in one pass over memory.
///
/// A normalised activation that nobody but the sum reads is not written, and neither is a sum that nobody but its
/// rectifier reads. What has more readers stays, so that nothing is computed twice.
package struct ResidualSums: GraphPass {
  package static let name = "residual-sums"

  package init() {}

  package func run(_ graph: Graph, _ context: inout PassContext) -> Graph {
    let (producers, consumers) = (graph.producers, graph.consumers)
    let results = Set(graph.results)
    var result = graph
    for (index, node) in graph.nodes.enumerated() where node.operation is Add {
      let sum = node.outputs[0]
      guard node.inputs.allSatisfy({ graph.values[$0].shape == graph.values[sum].shape }) else { continue }
      let sources = node.inputs.map { value -> ConvolutionForm.Source in
        guard consumers[value] == [index], !results.contains(value), let producer = producers[value],
          let operation = graph.nodes[producer].operation as? NormalizedActivation
        else { return ConvolutionForm.Source(kind: .plain, inputs: [value]) }
        return ConvolutionForm.Source(
          kind: .normalized(negativeSlope: operation.negativeSlope), inputs: graph.nodes[producer].inputs)
      }
      var (place, slope) = (index, Float(1))
      if consumers[sum].count == 1, !results.contains(sum),
        let rectifier = graph.nodes[consumers[sum][0]].operation as? LeakyRectifier
      {
        (place, slope) = (consumers[sum][0], rectifier.negativeSlope)
      }
      guard place != index || sources.contains(where: { $0.kind != .plain }) else { continue }
      result.nodes[place] = Graph.Node(
        operation: ResidualSum(sources[0].kind, sources[1].kind, negativeSlope: slope),
        inputs: sources.flatMap(\.inputs), outputs: graph.nodes[place].outputs)
    }
    return result.withoutDeadNodes()
  }
}
