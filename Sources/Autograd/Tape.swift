import Synchronization
import TensorCore

/// Records operations on the values it follows and walks their gradient rules backward.
///
///     let tape = Tape()
///     let weight = tape.follow(parameter)
///     let loss = model(weight, input)
///     let gradient = tape.gradients(of: loss, for: [weight])[0]
///
/// A tape keeps only what the gradient rules declare they read, and lets go of it while walking back.
public final class Tape: Recorder {
  private struct Node: Sendable {
    let rule: Rule
    /// The tape's numbers of the inputs; `nil` for constants.
    let inputs: [Int?]
    let firstOutput: Int
    let savedInputs: [Tensor?]
    let savedOutputs: [Tensor?]
    let inputShapes: [Shape]
    let outputShapes: [Shape]
  }

  private enum Rule: Sendable {
    case operation(any Operation)
    case segment(@Sendable ([Tensor]) -> [Tensor])
  }

  private struct State: Sendable {
    var nodes: [Node?] = []
    var valueCount = 0
    var isRecording = true
    var isConsumed = false
  }

  public let order = RecorderOrder()
  private let state = Mutex(State())

  public init() {}

  /// A value the tape follows from here on; gradients for it can be asked for.
  public func follow(_ tensor: Tensor) -> Tensor {
    let index = state.withLock { state in
      defer { state.valueCount += 1 }
      return state.valueCount
    }
    return followed(tensor, index: index)
  }

  /// Runs `body` with recording paused: what it computes is a constant for this tape.
  public func withoutRecording<Result>(_ body: () throws -> Result) rethrows -> Result {
    let before = state.withLock { state in
      defer { state.isRecording = false }
      return state.isRecording
    }
    defer { state.withLock { $0.isRecording = before } }
    return try body()
  }

  public func record(_ operation: any Operation, _ inputs: [Tensor]) -> [Tensor] {
    let outputs = operation.apply(inputs.map { $0.peeled(of: self) })
    let needs = operation.gradientNeeds
    return append(
      .operation(operation), inputs: inputs, outputs: outputs,
      savedInputs: inputs.indices.map { needs.inputs.contains($0) },
      savedOutputs: outputs.indices.map { needs.outputs.contains($0) })
  }

  /// Runs `segment` without keeping what happens inside; the backward walk computes it again.
  ///
  /// - Parameter inputs: everything the segment depends on; what it captures counts as constant.
  public func checkpointed(_ inputs: [Tensor], _ segment: @escaping @Sendable ([Tensor]) -> [Tensor]) -> [Tensor] {
    let outputs = segment(inputs.map { $0.peeled(of: self) })
    return append(
      .segment(segment), inputs: inputs, outputs: outputs,
      savedInputs: inputs.map { _ in true }, savedOutputs: outputs.map { _ in false })
  }

  private func append(
    _ rule: Rule, inputs: [Tensor], outputs: [Tensor], savedInputs: [Bool], savedOutputs: [Bool]
  ) -> [Tensor] {
    let first: Int? = state.withLock { state in
      guard state.isRecording else { return nil }
      check(!state.isConsumed, "Tape: recording on a tape whose gradients were already taken; make a new one")
      let first = state.valueCount
      state.valueCount += outputs.count
      state.nodes.append(
        Node(
          rule: rule, inputs: inputs.map(number), firstOutput: first,
          savedInputs: zip(inputs, savedInputs).map { $1 ? $0.peeled(of: self) : nil },
          savedOutputs: zip(outputs, savedOutputs).map { $1 ? $0 : nil },
          inputShapes: inputs.map(\.shape), outputShapes: outputs.map(\.shape)))
      return first
    }
    guard let first else { return outputs }
    return outputs.enumerated().map { followed($1, index: first + $0) }
  }

  private func followed(_ tensor: Tensor, index: Int) -> Tensor {
    Tensor(
      shape: tensor.shape, elementType: tensor.elementType, storage: tensor.storage,
      recording: Recording(recorder: self, index: index, inner: tensor.recording))
  }

  private func number(_ tensor: Tensor) -> Int? {
    guard let recording = tensor.recording, recording.recorder === self else { return nil }
    return recording.index
  }

  /// The gradients of `result` with respect to `sources`; zeros for a source that `result` does not depend on.
  ///
  /// - Parameters:
  ///   - result: a value this tape follows; a scalar unless `seed` is given.
  ///   - seed: the gradient of the final scalar with respect to `result`, of its shape.
  ///   - keepingTape: keep what is saved, so that gradients can be taken again.
  public func gradients(
    of result: Tensor, seed: Tensor? = nil, for sources: [Tensor], keepingTape: Bool = false
  ) -> [Tensor] {
    optionalGradients(of: [(result, seed)], for: sources, keepingTape: keepingTape)
      .enumerated().map { $1 ?? Tensor(zeros: sources[$0].shape) }
  }

  /// Like `gradients(of:seed:for:keepingTape:)` for several results with their seeds; `nil` where a source has no
  /// influence on any of them (an optimizer then leaves the parameter and its state alone, as PyTorch does).
  public func optionalGradients(
    of results: [(value: Tensor, seed: Tensor?)], for sources: [Tensor], keepingTape: Bool = false
  ) -> [Tensor?] {
    var gradients: [Int: Tensor] = [:]
    for (value, seed) in results {
      guard let index = number(value) else {
        check(false, "Tape.gradients: this tape does not follow the result")
        continue
      }
      check(
        seed != nil || value.count == 1,
        "Tape.gradients: the result has shape \(value.shape); a gradient of a non-scalar needs a seed of that shape")
      if let seed {
        check(
          seed.shape == value.shape, "Tape.gradients: the seed has shape \(seed.shape), the result \(value.shape)")
      }
      accumulate(seed ?? Tensor(repeating: 1, shape: value.shape), into: &gradients[index])
    }
    let wanted = sources.map { source -> Int in
      guard let index = number(source) else {
        check(false, "Tape.gradients: this tape does not follow one of the sources (shape \(source.shape))")
        return -1
      }
      return index
    }
    var nodes = takeNodes(keepingTape: keepingTape)
    let reachable = valuesThatLead(from: Set(wanted), nodes)
    let wantedSet = Set(wanted)
    while let last = nodes.popLast() {
      guard let node = last else { continue }
      let range = node.firstOutput..<node.firstOutput + node.outputShapes.count
      let outputGradients = range.map { index in
        wantedSet.contains(index) ? gradients[index] : gradients.removeValue(forKey: index)
      }
      guard outputGradients.contains(where: { $0 != nil }) else { continue }
      let isNeeded = node.inputs.map { $0.map(reachable.contains) ?? false }
      guard isNeeded.contains(true) else { continue }
      let inputGradients = backward(node, outputGradients, isNeeded)
      for (position, gradient) in inputGradients.enumerated() where isNeeded[position] {
        guard let gradient, let index = node.inputs[position] else { continue }
        check(
          gradient.shape == node.inputShapes[position],
          "\(node.rule): the gradient for input \(position) has shape \(gradient.shape), the input \(node.inputShapes[position])"
        )
        accumulate(gradient, into: &gradients[index])
      }
    }
    return wanted.map { gradients[$0] }
  }

  private func takeNodes(keepingTape: Bool) -> [Node?] {
    state.withLock { state in
      check(
        !state.isConsumed,
        "Tape.gradients: the tape was freed by an earlier call; pass keepingTape: true there to take gradients twice")
      defer {
        if !keepingTape {
          state.nodes = []
          state.isConsumed = true
        }
      }
      return state.nodes
    }
  }

  /// The values that depend on a source: gradients of others need not be computed.
  private func valuesThatLead(from sources: Set<Int>, _ nodes: [Node?]) -> Set<Int> {
    var values = sources
    for case let node? in nodes where node.inputs.contains(where: { $0.map(values.contains) ?? false }) {
      values.formUnion(node.firstOutput..<node.firstOutput + node.outputShapes.count)
    }
    return values
  }

  private func backward(_ node: Node, _ outputGradients: [Tensor?], _ isNeeded: [Bool]) -> [Tensor?] {
    switch node.rule {
    case .operation(let operation):
      let context = GradientContext(
        name: type(of: operation).name, inputs: node.savedInputs, outputs: node.savedOutputs,
        inputShapes: node.inputShapes, outputShapes: node.outputShapes, outputGradients: outputGradients,
        isNeeded: isNeeded)
      return operation.gradients(context)
    case .segment(let body):
      let tape = Tape()
      let inputs = zip(node.savedInputs, isNeeded).map { saved, needed -> Tensor in
        check(saved != nil, "Tape: a checkpointed segment lost an input")
        let value = saved ?? Tensor(zeros: [])
        return needed ? tape.follow(value) : value
      }
      let outputs = body(inputs)
      let results = zip(outputs, outputGradients).compactMap { output, gradient in
        gradient.flatMap { seed in tape.number(output) == nil ? nil : (value: output, seed: Optional(seed)) }
      }
      let sources = zip(inputs, isNeeded).filter(\.1).map(\.0)
      var found = tape.optionalGradients(of: results, for: sources).makeIterator()
      return isNeeded.map { $0 ? found.next() ?? nil : nil }
    }
  }

  private func accumulate(_ gradient: Tensor, into slot: inout Tensor?) {
    if slot == nil { slot = gradient } else { slot?.accumulate(gradient) }
  }
}
