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
    var result = graph
    var replacements: [Int: Int] = [:]
    var contents: [Content: Int] = [:]
    for (value, tensor) in graph.constants.sorted(by: { $0.key < $1.key })
    where graph.values[value].byteCount <= Self.largestConstant {
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
    for value in replacements.keys { result.constants[value] = nil }
    result.replaceUses(replacements)
    return result.withoutDeadNodes()
  }
}
