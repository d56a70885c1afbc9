import TensorCore

/// Lets convolutions, their weight gradients and transposed convolutions normalise and activate while they read, so that
/// normalised activations are never written where nobody else needs them.
package struct NormalizedLoads: GraphPass {
  package static let name = "normalized-loads"

  package init() {}

  package func run(_ graph: Graph, _ context: inout PassContext) -> Graph {
    /// What makes each normalised activation.
    var sources: [Int: ConvolutionForm.Source] = [:]
    for node in graph.nodes {
      guard let operation = node.operation as? NormalizedActivation else { continue }
      sources[node.outputs[0]] = ConvolutionForm.Source(
        kind: .normalized(negativeSlope: operation.negativeSlope), inputs: node.inputs)
    }
    func fused(_ source: ConvolutionForm.Source) -> ConvolutionForm.Source {
      source.kind == .plain ? sources[source.inputs[0]] ?? source : source
    }
    var result = graph
    for (index, node) in graph.nodes.enumerated() {
      guard var form = ConvolutionForm(node) else { continue }
      form.sources = form.sources.map(fused)
      form.gradient = form.gradient.map(fused)
      result.nodes[index] = form.node(outputs: node.outputs)
    }
    return result.withoutDeadNodes()
  }
}
