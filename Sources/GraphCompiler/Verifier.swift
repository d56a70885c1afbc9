import TensorCore

extension Graph {
  /// Checks that every value is made once and before it is read, that types, shapes and ranges are those of the
  /// operations' rules, and that results exist.
  ///
  /// - Parameter pass: the name of what made this graph, for the message.
  package func verify(after pass: String) throws(CompileError) {
    if let problem { throw .invalidGraph(pass: pass, problem) }
  }

  /// What is wrong with the graph; `nil` if nothing is.
  package var problem: String? {
    var isMade = [Bool](repeating: false, count: values.count)
    func exists(_ value: Int) -> Bool { values.indices.contains(value) }
    for value in inputs.map(\.value) + constants.keys {
      guard exists(value) else { return "there is no value %\(value)" }
      if isMade[value] { return "%\(value) is an input or constant twice" }
      isMade[value] = true
    }
    for (value, tensor) in constants
    where tensor.shape != values[value].shape || tensor.elementType != values[value].elementType {
      return "constant %\(value) is \(tensor.elementType) \(tensor.shape), not \(typeAndShape(value))"
    }
    for node in nodes {
      let name = type(of: node.operation).name
      for input in node.inputs where !exists(input) || !isMade[input] {
        return "\(name) reads %\(input) before anything makes it"
      }
      let shapes = node.operation.shapes(of: node.inputs.map { values[$0].shape })
      let types = node.operation.elementTypes(of: node.inputs.map { values[$0].elementType })
      if node.outputs.count != shapes.count { return "\(name) has \(node.outputs.count) outputs, not \(shapes.count)" }
      for (position, output) in node.outputs.enumerated() {
        guard exists(output) else { return "there is no value %\(output)" }
        if isMade[output] { return "%\(output) is made twice, the second time by \(name)" }
        isMade[output] = true
        if values[output].shape != shapes[position] || values[output].elementType != types[position] {
          return "\(name) makes %\(output) as \(types[position]) \(shapes[position]), not \(typeAndShape(output))"
        }
      }
    }
    for result in results where !exists(result) || !isMade[result] { return "nothing makes the result %\(result)" }
    for input in inputs {
      guard let update = input.update else { continue }
      let (old, new) = (values[input.value], values[update])
      if old.shape != new.shape || old.elementType != new.elementType {
        return "input '\(input.name)' is \(typeAndShape(input.value)), its update \(typeAndShape(update))"
      }
    }
    for (index, value) in values.enumerated() where isMade[index] && !value.range.contains(value.shape) {
      return "%\(index) has shape \(value.shape) outside its range \(value.range)"
    }
    for (index, value) in values.enumerated() {
      for (extent, fact) in zip(value.shape.extents, value.facts) {
        if let divisor = fact?.divisor, divisor > 0, extent % divisor != 0 {
          return "%\(index) has shape \(value.shape), but \(fact?.description ?? "") is a multiple of \(divisor)"
        }
      }
    }
    return nil
  }

  private func typeAndShape(_ value: Int) -> String { "\(values[value].elementType) \(values[value].shape)" }
}
