import TensorCore

extension Graph {
  /// The graph as text, one line for each input, constant, operation and result:
  ///
  ///     input  %0 image: float32 [batch 2...4, y 8...16, x 8...16, 1]
  ///     %3 = Convolution(%0, %1, %2): float32 [batch 2...4, y/2 4...8, x/2 4...8, 4]
  ///     output %3
  ///
  /// Extents come with their ranges, and with what they are of the named dimensions where that is known.
  ///
  /// - Parameter context: if given, convolutions are followed by the algorithm that their kernels choose with it:
  ///   `Convolution[winograd4]`.
  public func text(showingParameters: Bool = false, algorithmsIn context: EvaluationContext? = nil) -> String {
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
      let algorithm = context.flatMap { self.algorithm(of: node, in: $0) }.map { "[\($0)]" } ?? ""
      lines.append("\(outputs) = \(operation)\(algorithm)(\(inputs)): \(types)")
    }
    lines.append("output " + outputs.map { "%\($0)" }.joined(separator: ", "))
    return lines.joined(separator: "\n") + "\n"
  }

  /// What the kernels of a convolution chose; `nil` for other operations.
  func algorithm(of node: Node, in context: EvaluationContext) -> String? {
    (node.operation as? any PlannedConvolution)?.algorithm(of: node.inputs.map { values[$0].shape }, in: context)
      .rawValue
  }

  private func typeText(_ value: Int) -> String {
    let (range, facts) = (values[value].range, values[value].facts)
    let extents = range.dimensions.enumerated().map { axis, dimension in
      let fact = facts.indices.contains(axis) ? facts[axis] : nil
      return fact.flatMap { $0.name == nil ? nil : "\($0) \(dimension)" } ?? "\(dimension)"
    }
    return "\(values[value].elementType) [\(extents.joined(separator: ", "))]"
  }

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

  /// How many convolutions run by each algorithm.
  func algorithmCounts(in context: EvaluationContext) -> [String: Int] {
    nodes.reduce(into: [:]) { counts, node in
      if let algorithm = algorithm(of: node, in: context) { counts[algorithm, default: 0] += 1 }
    }
  }
}
