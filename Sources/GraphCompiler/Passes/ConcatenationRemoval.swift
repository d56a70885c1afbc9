import TensorCore

/// Lets convolutions read two tensors instead of their concatenation, and write the gradients of both instead of one
/// that is cut.
package struct ConcatenationRemoval: GraphPass {
  package static let name = "concatenation-removal"

  package init() {}

  package func run(_ graph: Graph, _ context: inout PassContext) -> Graph {
    splittingGradients(readingParts(graph)).withoutDeadNodes()
  }

  /// Readers of a concatenation along the channels read its two parts.
  private func readingParts(_ graph: Graph) -> Graph {
    var parts: [Int: [Int]] = [:]
    for node in graph.nodes {
      guard let operation = node.operation as? Concatenate, node.inputs.count == 2,
        operation.axis == graph.values[node.outputs[0]].shape.rank - 1,
        graph.values[node.outputs[0]].elementType == .float32
      else { continue }
      parts[node.outputs[0]] = node.inputs
    }
    var result = graph
    for (index, node) in graph.nodes.enumerated() {
      guard var form = ConvolutionForm(node), form.sources.count == 1, form.sources[0].kind == .plain,
        let parts = parts[form.sources[0].inputs[0]]
      else { continue }
      switch form.kind {
      case .forward(let geometry, _), .weightGradient(let geometry, _): if geometry.groups != 1 { continue }
      case .transposed: continue
      }
      form.sources = parts.map { ConvolutionForm.Source(kind: .plain, inputs: [$0]) }
      result.nodes[index] = form.node(outputs: node.outputs)
    }
    return result
  }

  /// An input gradient that is only cut into its two parts is written as them.
  private func splittingGradients(_ graph: Graph) -> Graph {
    let consumers = graph.consumers
    let results = Set(graph.results)
    var result = graph
    var dropped: Set<Int> = []
    for (index, node) in graph.nodes.enumerated() {
      guard let operation = node.operation as? ConvolutionInputGradient, operation.geometry.groups == 1,
        !results.contains(node.outputs[0])
      else { continue }
      let shape = graph.values[node.outputs[0]].shape
      let slices = consumers[node.outputs[0]].compactMap { reader -> (node: Int, channels: Range<Int>)? in
        guard let slice = graph.nodes[reader].operation as? Slice,
          slice.lower.dropLast().allSatisfy({ $0 == 0 }), slice.upper.dropLast() == shape.extents.dropLast(),
          let lower = slice.lower.last, let upper = slice.upper.last
        else { return nil }
        return (reader, lower..<upper)
      }.sorted { $0.channels.lowerBound < $1.channels.lowerBound }
      guard slices.count == 2, consumers[node.outputs[0]].count == 2, slices[0].channels.lowerBound == 0,
        slices[0].channels.upperBound == slices[1].channels.lowerBound, slices[1].channels.upperBound == shape.channels
      else { continue }
      result.nodes[index] = Graph.Node(
        operation: SplitConvolutionInputGradient(
          operation.geometry, extents: operation.extents, channels: slices.map(\.channels.count)),
        inputs: node.inputs, outputs: slices.map { graph.nodes[$0.node].outputs[0] })
      dropped.formUnion(slices.map(\.node))
    }
    result.nodes = result.nodes.enumerated().filter { !dropped.contains($0.offset) }.map(\.element)
    return result
  }
}
