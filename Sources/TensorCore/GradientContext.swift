/// Which of an operation's inputs and outputs its gradient rule reads.
public struct GradientNeeds: Hashable, Sendable {
  public var inputs: Set<Int>
  public var outputs: Set<Int>

  public init(inputs: Set<Int> = [], outputs: Set<Int> = []) {
    self.inputs = inputs
    self.outputs = outputs
  }
}

/// What a gradient rule gets: the values it declared in `gradientNeeds`, all shapes, and the gradients of the outputs.
public struct GradientContext {
  private let name: String
  private let inputs: [Tensor?]
  private let outputs: [Tensor?]
  public let inputShapes: [Shape]
  public let outputShapes: [Shape]
  /// The gradient for each output; `nil` where nothing depends on that output.
  public let outputGradients: [Tensor?]
  /// Whether the gradient for each input will be used.
  public let isNeeded: [Bool]

  package init(
    name: String, inputs: [Tensor?], outputs: [Tensor?], inputShapes: [Shape], outputShapes: [Shape],
    outputGradients: [Tensor?], isNeeded: [Bool]
  ) {
    self.name = name
    self.inputs = inputs
    self.outputs = outputs
    self.inputShapes = inputShapes
    self.outputShapes = outputShapes
    self.outputGradients = outputGradients
    self.isNeeded = isNeeded
  }

  public func input(_ index: Int) -> Tensor {
    guard let value = inputs[index] else {
      checkFailed(
        "\(name): its gradient rule reads input \(index), which it does not declare", file: #fileID, line: #line)
    }
    return value
  }

  public func output(_ index: Int) -> Tensor {
    guard let value = outputs[index] else {
      checkFailed(
        "\(name): its gradient rule reads output \(index), which it does not declare", file: #fileID, line: #line)
    }
    return value
  }

  /// The gradient for the first output, which most operations only have.
  public var outputGradient: Tensor {
    guard let gradient = outputGradients[0] else {
      checkFailed("\(name): there is no gradient for its first output", file: #fileID, line: #line)
    }
    return gradient
  }
}
