import TensorCore

/// Removes operations that change nothing and joins those that are one, where the result is the same to the bit.
package struct Simplification: GraphPass {
  package static let name = "simplification"

  package init() {}

  package func run(_ graph: Graph, _ context: inout PassContext) -> Graph {
    // What is superfluous at one shape may be needed at another.
    let choice = Set(context.choice(of: Self.name) { simplified(graph, allowing: nil).choice })
    return simplified(graph, allowing: choice).graph
  }

  /// - Parameter allowed: what may be done, as `choice` lists it; `nil` for everything.
  private func simplified(_ graph: Graph, allowing allowed: Set<Int>?) -> (graph: Graph, choice: [Int]) {
    var result = graph
    result.nodes = []
    /// What makes each value that is kept.
    var makers: [Int: Graph.Node] = [:]
    var replacements: [Int: Int] = [:]
    // Nodes that are removed (even) or joined with the one before (odd), by their number.
    var choice: [Int] = []
    for (index, original) in graph.nodes.enumerated() {
      var node = original
      node.inputs = node.inputs.map { replacements[$0] ?? $0 }
      while allowed?.contains(2 * index + 1) ?? true, let joined = Self.joined(node, makers) {
        node = joined
        choice.append(2 * index + 1)
      }
      if allowed?.contains(2 * index) ?? true, let same = Self.unchanged(node, result) {
        replacements[node.outputs[0]] = same
        choice.append(2 * index)
        continue
      }
      for output in node.outputs { makers[output] = node }
      result.nodes.append(node)
    }
    result.replaceUses(replacements)
    return (result.withoutDeadNodes(), choice)
  }

  /// The input that the node's output equals, if there is one.
  private static func unchanged(_ node: Graph.Node, _ graph: Graph) -> Int? {
    let input = node.inputs[0]
    let hasInputShape = graph.values[node.outputs[0]].shape == graph.values[input].shape
    switch node.operation {
    case is Reshape, is Broadcast, is Slice, is Pad: return hasInputShape ? input : nil
    case let operation as ScaleOffset: return operation.scale == 1 && operation.offset == 0 ? input : nil
    case let operation as Transpose:
      return operation.permutation == Array(operation.permutation.indices) ? input : nil
    case let operation as Convert: return operation.elementType == graph.values[input].elementType ? input : nil
    case is Multiply:
      if hasInputShape, isAllOnes(node.inputs[1], graph) { return input }
      let other = node.inputs[1]
      return graph.values[node.outputs[0]].shape == graph.values[other].shape && isAllOnes(input, graph) ? other : nil
    case is Divide: return hasInputShape && isAllOnes(node.inputs[1], graph) ? input : nil
    default: return nil
    }
  }

  private static func isAllOnes(_ value: Int, _ graph: Graph) -> Bool {
    guard let constant = graph.constants[value], constant.elementType == .float32, constant.count <= 4096 else {
      return false
    }
    return constant.elements().allSatisfy { $0 == 1 }
  }

  /// One operation for the node and the one before it.
  private static func joined(_ node: Graph.Node, _ makers: [Int: Graph.Node]) -> Graph.Node? {
    guard let before = makers[node.inputs[0]], before.outputs.count == 1 else { return nil }
    var result = node
    result.inputs[0] = before.inputs[0]
    switch (before.operation, node.operation) {
    case (is Reshape, let second as Reshape): result.operation = second
    case (let first as Transpose, let second as Transpose):
      result.operation = Transpose(second.permutation.map { first.permutation[$0] })
    case (let first as ScaleOffset, let second as ScaleOffset)
    where first.offset == 0 && second.offset == 0 && (first.scale.isPowerOfTwo || second.scale.isPowerOfTwo):
      result.operation = ScaleOffset(scale: first.scale * second.scale, offset: 0)
    default: return nil
    }
    return result
  }
}

extension Float {
  /// Whether multiplying by it rounds nothing, save at the ends of the range.
  fileprivate var isPowerOfTwo: Bool { isNormal && significandBitPattern == 0 && abs(exponent) < 64 }
}
