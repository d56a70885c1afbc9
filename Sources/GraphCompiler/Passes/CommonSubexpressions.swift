import TensorCore

/// Computes equal operations on equal inputs once, and keeps equal small constants once.
package struct CommonSubexpressions: GraphPass {
  package static let name = "common-subexpressions"
  /// Constants of more bytes are not compared.
  private static let largestConstant = 4096

  private struct Key: Hashable {
    var operation: AnyHashable
    var inputs: [Int]
  }

  private struct Content: Hashable {
    var elementType: ElementType
    var shape: Shape
    var bytes: [UInt8]
  }

  package init() {}

  package func run(_ graph: Graph, _ context: inout PassContext) -> Graph {
    // What is equal at one shape may differ at another.
    let choice = context.choice(of: Self.name) { Self.equalValues(graph).flatMap { [$0.key, $0.value] } }
    var chosen: [Int: Int] = [:]
    for pair in stride(from: 0, to: choice.count - 1, by: 2) { chosen[choice[pair]] = choice[pair + 1] }
    let replacements = context.isRepeating ? Self.equalValues(graph).filter { chosen[$0.key] == $0.value } : chosen
    var result = graph
    for value in replacements.keys { result.constants[value] = nil }
    result.replaceUses(replacements)
    return result.withoutDeadNodes()
  }

  /// For each value that equals one before it, that one.
  private static func equalValues(_ graph: Graph) -> [Int: Int] {
    var replacements: [Int: Int] = [:]
    var contents: [Content: Int] = [:]
    for (value, tensor) in graph.constants.sorted(by: { $0.key < $1.key })
    where graph.values[value].byteCount <= largestConstant {
      let bytes = Array(
        UnsafeRawBufferPointer(start: TensorView(tensor).bytes, count: graph.values[value].byteCount))
      let content = Content(elementType: tensor.elementType, shape: tensor.shape, bytes: bytes)
      if let known = contents[content] { replacements[value] = known } else { contents[content] = value }
      withExtendedLifetime(tensor) {}
    }
    var known: [Key: [Int]] = [:]
    for node in graph.nodes {
      let inputs = node.inputs.map { replacements[$0] ?? $0 }
      let key = Key(operation: AnyHashable(node.operation), inputs: inputs)
      if let outputs = known[key] {
        for (old, new) in zip(node.outputs, outputs) { replacements[old] = new }
      } else {
        known[key] = node.outputs
      }
    }
    return replacements
  }
}
