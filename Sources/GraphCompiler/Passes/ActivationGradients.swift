import TensorCore

/// Takes gradients back through activations, and adds them up, while the convolution that makes them writes: what remains
/// of a normalisation's gradient is one pass over memory, and the gradient of a bias before it comes with that.
package struct ActivationGradients: GraphPass {
  package static let name = "activation-gradients"

  package init() {}

  package func run(_ graph: Graph, _ context: inout PassContext) -> Graph {
    summingBiasGradients(passingOn(addingUp(graph)).withoutDeadNodes())
  }

  /// A sum of which one side is an input gradient that nobody else reads is written by that convolution.
  private func addingUp(_ graph: Graph) -> Graph {
    let (gradients, producers) = (InputGradients(graph), graph.producers)
    var result = graph
    for (index, node) in graph.nodes.enumerated() where node.operation is Add {
      // The later one, which finds the other side made.
      let sides = node.inputs.sorted { producers[$0] ?? -1 > producers[$1] ?? -1 }
      guard sides[0] != sides[1], graph.values[sides[0]].shape == graph.values[sides[1]].shape,
        let side = sides.first(where: { gradients[$0] != nil }), var fused = gradients[side]
      else { continue }
      fused.operation.hasAddend = true
      result.nodes[index].operation = fused.operation
      result.nodes[index].inputs = fused.inputs + sides.filter { $0 != side }
    }
    return result
  }

  /// The gradient of a normalisation and an activation starts in the convolution that makes what it takes.
  private func passingOn(_ graph: Graph) -> Graph {
    let gradients = InputGradients(graph)
    var result = graph
    var replaced: [Int: [Graph.Node]] = [:]
    for (index, node) in graph.nodes.enumerated() {
      guard let operation = node.operation as? InstanceNormalizationGradient, var fused = gradients[node.inputs[0]]
      else { continue }
      fused.operation.activation = FusedConvolutionInputGradient.Activation(
        epsilon: operation.epsilon, negativeSlope: operation.negativeSlope)
      let gradient = result.makeNode(fused.operation, fused.inputs + node.inputs[1...])
      let rest = Graph.Node(
        operation: FusedInstanceNormalizationGradient(operation, takesSums: true, givesSum: false),
        inputs: [gradient.outputs[0]] + node.inputs[1...] + [gradient.outputs[1]], outputs: node.outputs)
      replaced[index] = [gradient, rest]
    }
    result.nodes = result.nodes.enumerated().flatMap { replaced[$0] ?? [$1] }
    return result
  }

  /// The gradient of a bias before a normalisation is a sum that the normalisation's gradient can take.
  private func summingBiasGradients(_ graph: Graph) -> Graph {
    let producers = graph.producers
    var result = graph
    var dropped: Set<Int> = []
    for (index, node) in graph.nodes.enumerated() where node.operation is ConvolutionBiasGradient {
      guard let producer = producers[node.inputs[0]], graph.nodes[producer].outputs[0] == node.inputs[0]
      else { continue }
      switch result.nodes[producer].operation {
      case let operation as InstanceNormalizationGradient:
        result.nodes[producer].operation = FusedInstanceNormalizationGradient(
          operation, takesSums: false, givesSum: true)
      case var operation as FusedInstanceNormalizationGradient where !operation.givesSum:
        operation.givesSum = true
        result.nodes[producer].operation = operation
      default: continue
      }
      result.nodes[producer].outputs += node.outputs
      dropped.insert(index)
    }
    result.nodes = result.nodes.enumerated().filter { !dropped.contains($0.offset) }.map(\.element)
    return result
  }

  /// Input gradients of convolutions that one node alone reads, by the value they make.
  private struct InputGradients {
    private var gradients: [Int: (operation: FusedConvolutionInputGradient, inputs: [Int])] = [:]

    init(_ graph: Graph) {
      let (consumers, results) = (graph.consumers, Set(graph.results))
      for node in graph.nodes where consumers[node.outputs[0]].count == 1 && !results.contains(node.outputs[0]) {
        switch node.operation {
        case let operation as ConvolutionInputGradient where operation.geometry.groups == 1:
          gradients[node.outputs[0]] = (
            FusedConvolutionInputGradient(
              operation.geometry, extents: operation.extents, hasAddend: false, activation: nil), node.inputs
          )
        case let operation as Convolution where operation.geometry.groups == 1 && node.inputs.count == 2:
          gradients[node.outputs[0]] = (
            FusedConvolutionInputGradient(operation.geometry, extents: nil, hasAddend: false, activation: nil),
            node.inputs
          )
        case let operation as FusedConvolutionInputGradient where operation.activation == nil:
          gradients[node.outputs[0]] = (operation, node.inputs)
        default: continue
        }
      }
    }

    subscript(value: Int) -> (operation: FusedConvolutionInputGradient, inputs: [Int])? { gradients[value] }
  }
}
