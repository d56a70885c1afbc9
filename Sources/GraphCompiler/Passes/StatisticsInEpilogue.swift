import TensorCore

/// Takes the statistics of a normalisation in the epilogue of the convolution that makes its input, while that is in
/// cache, and leaves of the normalisation what is done to each element.
package struct StatisticsInEpilogue: GraphPass {
  package static let name = "statistics-in-epilogue"

  package init() {}

  package func run(_ graph: Graph, _ context: inout PassContext) -> Graph {
    let producers = graph.producers
    var result = graph
    var replacements: [Int: Int] = [:]
    var replaced: [Int: [Graph.Node]] = [:]
    for (index, node) in graph.nodes.enumerated() {
      guard let normalization = Normalization(node.operation), let producer = producers[node.inputs[0]],
        var form = ConvolutionForm(result.nodes[producer]), case .forward(let geometry, let givesStatistics) = form.kind
      else { continue }
      let convolution = result.nodes[producer]
      var statistics = convolution.outputs.last ?? 0
      if !givesStatistics {
        let old = graph.values[node.outputs[1]]
        statistics = result.addValue(old.elementType, old.shape)
        form.kind = .forward(geometry, givesStatistics: true)
        result.nodes[producer] = form.node(outputs: [convolution.outputs[0], statistics])
      }
      let terms = result.makeNode(
        NormalizationTerms(epsilon: normalization.epsilon), [statistics, node.inputs[1], node.inputs[2]])
      let apply = Graph.Node(
        operation: NormalizedActivation(negativeSlope: normalization.negativeSlope),
        inputs: [node.inputs[0], terms.outputs[0]], outputs: [node.outputs[0]])
      replaced[index] = [terms, apply]
      replacements[node.outputs[1]] = statistics
    }
    result.nodes = result.nodes.enumerated().flatMap { replaced[$0] ?? [$1] }
    result.replaceUses(replacements)
    return result
  }

  /// Both normalisations; a slope of 1 is none.
  private struct Normalization {
    var epsilon: Float
    var negativeSlope: Float

    init?(_ operation: any Operation) {
      switch operation {
      case let operation as InstanceNormalizationActivation:
        (epsilon, negativeSlope) = (operation.epsilon, operation.negativeSlope)
      case let operation as InstanceNormalization: (epsilon, negativeSlope) = (operation.epsilon, 1)
      default: return nil
      }
    }
  }
}
