import TensorCore

/// A graph at one binding of its shapes, ready to run in planned memory.
struct Executable: Sendable {
  let graph: Graph
  let plan: MemoryPlan

  /// Runs the graph.
  ///
  /// - Parameter inputs: those with an update are replaced by it, in their own memory where nobody else holds it.
  /// - Returns: the graph's outputs.
  func run(_ inputs: inout [Tensor], in context: EvaluationContext) -> [Tensor] {
    for (index, input) in graph.inputs.enumerated() where input.update != nil { inputs[index].makeStorageUnique() }
    let arena = Storage(byteCount: plan.arenaByteCount)
    let results = resultStorages()
    let arguments = inputs
    let inputStorages = inputs.map(\.storage)
    func pointer(_ value: Int) -> UnsafeMutableRawPointer {
      switch plan.places[value] {
      case .input(let number): return inputStorages[number].pointer
      case .constant(let origin): return constant(origin).storage.pointer
      case .arena(let offset): return arena.pointer + offset
      case .result(let number): return results[number].pointer
      case nil:
        check(false, "Executable: value %\(value) has no place")
        return arena.pointer
      }
    }
    var context = context
    for (index, node) in graph.nodes.enumerated() where !node.operation.isRelabelling {
      let sources = node.inputs.map { value -> TensorView in
        let (type, shape) = (graph.values[value].elementType, graph.values[value].shape)
        // A weight may carry what convolutions keep of it.
        if case .input(let number) = plan.places[value], arguments[number].shape == shape {
          return TensorView(arguments[number])
        }
        return TensorView(shape: shape, elementType: type, bytes: pointer(value))
      }
      let destinations = node.outputs.map { value in
        MutableTensorView(
          shape: graph.values[value].shape, elementType: graph.values[value].elementType, bytes: pointer(value))
      }
      context.scratch = plan.scratch[index].map {
        ScratchMemory(arena.pointer + $0.lowerBound, byteCount: $0.count)
      }
      node.operation.evaluate(sources, into: destinations, in: context)
    }
    let outputs = graph.outputs.map { value -> Tensor in
      let (type, shape) = (graph.values[value].elementType, graph.values[value].shape)
      switch plan.places[value] {
      case .result(let number):
        return Tensor(shape: shape, elementType: type, storage: results[number], recording: nil)
      case .constant(let origin):
        return Tensor(shape: shape, elementType: type, storage: constant(origin).storage, recording: nil)
      default:
        // An input that is an output too, whose memory may get an update.
        let copy = Tensor(uninitialized: shape, elementType: type)
        copy.storage.pointer.copyMemory(from: pointer(value), byteCount: graph.values[value].byteCount)
        return copy
      }
    }
    moveUpdates(into: inputStorages, pointer)
    withExtendedLifetime((arena, results, arguments)) {}
    return outputs
  }

  private func constant(_ value: Int) -> Tensor {
    check(graph.constants[value] != nil, "Executable: %\(value) is no constant")
    return graph.constants[value] ?? Tensor(0)
  }

  private func resultStorages() -> [Storage] {
    var sizes = [Int](repeating: 0, count: plan.resultCount)
    for (value, place) in plan.places.enumerated() {
      if case .result(let number) = place { sizes[number] = max(sizes[number], graph.values[value].byteCount) }
    }
    return sizes.map { Storage(byteCount: $0) }
  }

  /// Copies updates that were not computed in place to where they belong.
  private func moveUpdates(into inputs: [Storage], _ pointer: (Int) -> UnsafeMutableRawPointer) {
    var moves: [(input: Int, source: UnsafeMutableRawPointer, byteCount: Int, held: Storage?)] = []
    for (index, input) in graph.inputs.enumerated() {
      guard let update = input.update, plan.places[update] != .input(index) else { continue }
      let byteCount = graph.values[update].byteCount
      guard case .input = plan.places[update] else {
        moves.append((index, pointer(update), byteCount, nil))
        continue
      }
      // Another input's old value, which may be about to change.
      let copy = Storage(byteCount: byteCount)
      copy.pointer.copyMemory(from: pointer(update), byteCount: byteCount)
      moves.append((index, copy.pointer, byteCount, copy))
    }
    for move in moves { inputs[move.input].pointer.copyMemory(from: move.source, byteCount: move.byteCount) }
    withExtendedLifetime(moves.map(\.held)) {}
  }
}
