import TensorCore

/// Computes what depends on constants alone while compiling, where the result is small.
package struct ConstantFolding: GraphPass {
  package static let name = "constant-folding"
  private static let largestResult = 1 << 16

  package init() {}

  package func run(_ graph: Graph, _ context: inout PassContext) -> Graph {
    var result = graph
    result.nodes = []
    for node in graph.nodes {
      let constants = node.inputs.compactMap { result.constants[$0] }
      let size = node.outputs.reduce(0) { $0 + graph.values[$1].byteCount }
      guard constants.count == node.inputs.count, !node.inputs.isEmpty, size <= Self.largestResult else {
        result.nodes.append(node)
        continue
      }
      for (output, tensor) in zip(node.outputs, node.operation.evaluated(constants, in: .standard)) {
        result.constants[output] = tensor
      }
    }
    return result
  }
}
