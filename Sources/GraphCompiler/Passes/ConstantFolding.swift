import TensorCore

/// Computes what depends on constants alone while compiling, where the result is small.
package struct ConstantFolding: GraphPass {
  package static let name = "constant-folding"
  private static let largestResult = 1 << 16

  package init() {}

  package func run(_ graph: Graph, _ context: inout PassContext) -> Graph {
    let choice = Set(context.choice(of: Self.name) { folded(graph, allowing: nil).choice })
    return folded(graph, allowing: choice).graph
  }

  private func folded(_ graph: Graph, allowing allowed: Set<Int>?) -> (graph: Graph, choice: [Int]) {
    var (result, choice) = (graph, [Int]())
    result.nodes = []
    for (index, node) in graph.nodes.enumerated() {
      let constants = node.inputs.compactMap { result.constants[$0] }
      let size = node.outputs.reduce(0) { $0 + graph.values[$1].byteCount }
      guard constants.count == node.inputs.count, !node.inputs.isEmpty, size <= Self.largestResult,
        allowed?.contains(index) ?? true
      else {
        result.nodes.append(node)
        continue
      }
      choice.append(index)
      for (output, tensor) in zip(node.outputs, node.operation.evaluated(constants, in: .standard)) {
        result.constants[output] = tensor
      }
    }
    return (result, choice)
  }
}
