import TensorCore

extension Graph {
  /// The graph as text, one line for each input, constant, operation and result:
  ///
  ///     input  %0 image: float32 [2...4, 8...16, 8...16, 1]
  ///     %3 = Convolution(%0, %1, %2): float32 [2...4, 8...16, 8...16, 4]
  ///     output %3
  public func text(showingParameters: Bool = false) -> String {
    var lines: [String] = []
    for input in inputs {
      let update = input.update.map { ", becomes %\($0)" } ?? ""
      lines.append("input  %\(input.value) \(input.name): \(typeText(input.value))\(update)")
    }
    for (value, tensor) in constants.sorted(by: { $0.key < $1.key }) {
      lines.append("const  %\(value): \(typeText(value))\(Self.contentText(tensor))")
    }
    for node in nodes {
      let outputs = node.outputs.map { "%\($0)" }.joined(separator: ", ")
      let inputs = node.inputs.map { "%\($0)" }.joined(separator: ", ")
      let types = node.outputs.map(typeText).joined(separator: ", ")
      let operation = showingParameters ? "\(node.operation)" : type(of: node.operation).name
      lines.append("\(outputs) = \(operation)(\(inputs)): \(types)")
    }
    lines.append("output " + outputs.map { "%\($0)" }.joined(separator: ", "))
    return lines.joined(separator: "\n") + "\n"
  }

  private func typeText(_ value: Int) -> String { "\(values[value].elementType) \(values[value].range)" }

  private static func contentText(_ tensor: Tensor) -> String {
    guard tensor.elementType == .float32, (1...4).contains(tensor.count) else { return "" }
    return " = " + tensor.elements().map { "\($0)" }.joined(separator: ", ")
  }

  /// A value with what makes it.
  package func description(of value: Int) -> String {
    let type = "\(values[value].elementType) \(values[value].shape)"
    if let input = inputs.first(where: { $0.value == value }) { return "input '\(input.name)' (\(type))" }
    if let node = nodes.last(where: { $0.outputs.contains(value) }) {
      return "%\(value), made by \(Swift.type(of: node.operation).name) (\(type))"
    }
    return "%\(value) (\(type))"
  }
}
