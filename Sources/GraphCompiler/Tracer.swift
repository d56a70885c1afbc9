import Synchronization
import TensorCore

/// Builds a graph from what a function does with tensors that have no memory.
///
/// It is a recorder like a tape: a tape made inside the traced function records first, and its gradient rules are traced
/// with everything else. What depends on no input is computed while tracing and is a constant of the graph.
package final class Tracer: Recorder, PlaceholderObserver {
  private struct State: Sendable {
    var graph = Graph()
    /// Values by their placeholder, so that a detached one is still known.
    var placeholders: [ObjectIdentifier: Int] = [:]
    /// Constants by storage and shape.
    var constants: [ConstantKey: Int] = [:]
    /// Keeps identifiers unique while tracing.
    var held: [Storage] = []
    var failure: CompileError?
    var readCount = 0
  }

  private struct ConstantKey: Hashable, Sendable {
    var storage: ObjectIdentifier
    var shape: Shape
  }

  package let order = RecorderOrder()
  private let state = Mutex(State())

  /// How often an untraceable function may read before it is taken for an endless loop.
  private static let readLimit = 100_000

  package init() {}

  /// A new input of the graph.
  package func input(_ name: String, _ elementType: ElementType, _ shape: Shape) -> Tensor {
    state.withLock { state in
      let value = state.graph.addValue(elementType, shape)
      state.graph.inputs.append(Graph.Input(name: name, value: value, update: nil))
      return follow(value, &state)
    }
  }

  package func record(_ operation: any Operation, _ inputs: [Tensor]) -> [Tensor] {
    state.withLock { state in
      let values = inputs.map { number($0, for: type(of: operation).name, &state) }
      return state.graph.append(operation, values).map { follow($0, &state) }
    }
  }

  /// The graph that computes `outputs`, and `updates` for the inputs they belong to.
  /// - Throws: `CompileError` if the function did something that cannot be traced.
  package func finish(outputs: [Tensor], updates: [Int: Tensor]) throws(CompileError) -> Graph {
    let (graph, failure) = state.withLock { state -> (Graph, CompileError?) in
      defer {
        // The placeholders hold this tracer.
        state.held = []
        state.placeholders = [:]
      }
      state.graph.outputs = outputs.map { number($0, for: "the result", &state) }
      for (input, value) in updates {
        state.graph.inputs[input].update = number(value, for: "an update", &state)
      }
      return (state.graph, state.failure)
    }
    if let failure { throw failure }
    return graph
  }

  private func follow(_ value: Int, _ state: inout State) -> Tensor {
    let info = state.graph.values[value]
    let storage = Storage(placeholderOf: info.byteCount, observer: self)
    state.placeholders[ObjectIdentifier(storage)] = value
    state.held.append(storage)
    return Tensor(
      shape: info.shape, elementType: info.elementType, storage: storage,
      recording: Recording(recorder: self, index: value, inner: nil))
  }

  private func number(_ tensor: Tensor, for user: String, _ state: inout State) -> Int {
    if let recording = tensor.recording, recording.recorder === self { return recording.index }
    if let known = state.placeholders[ObjectIdentifier(tensor.storage)] { return known }
    if tensor.recording != nil { fail(.followedElsewhere(operation: user), &state) }
    let key = ConstantKey(storage: ObjectIdentifier(tensor.storage), shape: tensor.shape)
    if let known = state.constants[key] { return known }
    let value = state.graph.addValue(tensor.elementType, tensor.shape)
    state.graph.constants[value] = tensor.detached()
    state.constants[key] = value
    return value
  }

  private func fail(_ error: CompileError, _ state: inout State) {
    if state.failure == nil { state.failure = error }
  }

  package func placeholderWasRead(_ storage: Storage, at place: String) {
    state.withLock { state in
      let value = state.placeholders[ObjectIdentifier(storage)].map { state.graph.description(of: $0) }
      fail(.valueRead(value: value ?? "a traced value", place: place), &state)
      state.readCount += 1
      check(state.readCount < Self.readLimit, "\(place) goes on reading a value that is not known while tracing")
    }
  }

  package func memoryOfPlaceholder(_ storage: Storage) -> Storage {
    placeholderWasRead(storage, at: "an access to its memory")
    let memory = Storage(byteCount: max(storage.byteCount, 1))
    memory.pointer.initializeMemory(as: UInt8.self, repeating: 0, count: storage.byteCount)
    state.withLock { $0.held.append(memory) }
    return memory
  }
}
