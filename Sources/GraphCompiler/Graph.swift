import TensorCore

/// A computation on tensors as data: inputs and constants, operations in the order they run, and outputs.
///
/// Values are numbered; each is made once. The order of `nodes` is the schedule. A graph holds for one binding of its
/// inputs' shapes; how far other shapes give the same graph is what `ShapeVariables` and `RangeInference` know.
public struct Graph: Sendable {
  public struct Value: Sendable, Hashable {
    public var elementType: ElementType
    public var shape: Shape
    /// Every shape this value takes for shapes of the inputs inside their ranges.
    public var range: ShapeRange
    /// For each axis how it follows from a named dimension, where that is known; empty before it is inferred.
    package var facts: [ExtentFact?] = []

    public var byteCount: Int { shape.count * elementType.byteCount }
  }

  public struct Input: Sendable, Hashable {
    public var name: String
    public var value: Int
    /// The value that takes its place after a run, if one does: a parameter after a training step.
    public var update: Int?
  }

  public struct Node: Sendable {
    public var operation: any Operation
    public var inputs: [Int]
    public var outputs: [Int]
  }

  public var values: [Value] = []
  public var inputs: [Input] = []
  /// Values that are the same in every run.
  public var constants: [Int: Tensor] = [:]
  public var nodes: [Node] = []
  public var outputs: [Int] = []

  public init() {}

  /// A new value of this type and shape, so far made by nobody.
  package mutating func addValue(_ elementType: ElementType, _ shape: Shape) -> Int {
    values.append(Value(elementType: elementType, shape: shape, range: ShapeRange(shape)))
    return values.count - 1
  }

  /// A node at the end; the outputs get the types and shapes of the operation's rules.
  package mutating func append(_ operation: any Operation, _ inputs: [Int]) -> [Int] {
    let node = makeNode(operation, inputs)
    nodes.append(node)
    return node.outputs
  }

  /// A node with new outputs that is in no schedule yet.
  package mutating func makeNode(_ operation: any Operation, _ inputs: [Int]) -> Node {
    let shapes = operation.shapes(of: inputs.map { values[$0].shape })
    let types = operation.elementTypes(of: inputs.map { values[$0].elementType })
    let outputs = zip(types, shapes).map { addValue($0, $1) }
    return Node(operation: operation, inputs: inputs, outputs: outputs)
  }

  /// What must survive the run: outputs and updates.
  package var results: [Int] { outputs + inputs.compactMap(\.update) }

  /// For each value the node that makes it; `nil` for inputs, constants and values of nobody.
  package var producers: [Int?] {
    var producers = [Int?](repeating: nil, count: values.count)
    for (index, node) in nodes.enumerated() {
      for output in node.outputs { producers[output] = index }
    }
    return producers
  }

  /// For each value the nodes that read it, in order, each once.
  package var consumers: [[Int]] {
    var consumers = [[Int]](repeating: [], count: values.count)
    for (index, node) in nodes.enumerated() {
      for input in Set(node.inputs) { consumers[input].append(index) }
    }
    return consumers
  }

  /// Everyone who reads a value in `replacements` reads what it maps to instead, results included. Chains are followed.
  package mutating func replaceUses(_ replacements: [Int: Int]) {
    guard !replacements.isEmpty else { return }
    func resolve(_ value: Int) -> Int {
      var value = value
      while let next = replacements[value], next != value { value = next }
      return value
    }
    for index in nodes.indices { nodes[index].inputs = nodes[index].inputs.map(resolve) }
    outputs = outputs.map(resolve)
    for index in inputs.indices { inputs[index].update = inputs[index].update.map(resolve) }
  }

  /// Without values that nobody makes or reads, numbered in the order they appear.
  package func compacted() -> Graph {
    var numbers = [Int?](repeating: nil, count: values.count)
    var result = Graph()
    func number(_ value: Int) -> Int {
      if let known = numbers[value] { return known }
      result.values.append(values[value])
      numbers[value] = result.values.count - 1
      if let constant = constants[value] { result.constants[result.values.count - 1] = constant }
      return result.values.count - 1
    }
    for input in inputs { result.inputs.append(Input(name: input.name, value: number(input.value), update: nil)) }
    for node in nodes {
      result.nodes.append(
        Node(operation: node.operation, inputs: node.inputs.map(number), outputs: node.outputs.map(number)))
    }
    result.outputs = outputs.map(number)
    for (index, input) in inputs.enumerated() { result.inputs[index].update = input.update.map(number) }
    return result
  }

  /// Whether both have the same operations, but for parameters that depend on shapes, between the same values.
  package func hasStructure(of other: Graph) -> Bool {
    guard
      nodes.count == other.nodes.count, values.count == other.values.count, outputs == other.outputs,
      inputs == other.inputs, constants.count == other.constants.count
    else { return false }
    return zip(nodes, other.nodes).allSatisfy { a, b in
      a.inputs == b.inputs && a.outputs == b.outputs && type(of: a.operation) == type(of: b.operation)
    }
  }
}
