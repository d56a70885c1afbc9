import TensorCore

/// Which values share memory, and when each piece of memory is in use.
///
/// A relabelling shares the memory of its input. An output is written over an input where the operation allows it and
/// liveness proves that nobody reads the input's memory afterwards.
struct BufferAssignment {
  enum Home: Hashable {
    /// Memory that comes with the call.
    case input(Int)
    case constant
    /// Planned memory.
    case arena
    /// Memory of its own, which the caller gets.
    case result
  }

  struct Buffer {
    var home: Home
    var byteCount: Int
    /// The first and last node that touch it.
    var first: Int
    var last: Int
  }

  static let inPlaceName = "in-place"

  private(set) var buffers: [Buffer] = []
  /// For each value its buffer; `nil` for values of nobody.
  private(set) var bufferOfValue: [Int?]
  /// For each node the buffer of its scratch memory, if it takes any.
  private(set) var bufferOfScratch: [Int?] = []
  /// How many outputs are written over inputs.
  private(set) var overwriteCount = 0

  /// - Parameters:
  ///   - allowsOverwriting: whether outputs may be written over inputs.
  ///   - scratchByteCounts: what each node takes besides its outputs.
  init(_ graph: Graph, allowsOverwriting: Bool, scratchByteCounts: [Int]) {
    bufferOfValue = [Int?](repeating: nil, count: graph.values.count)
    var lastUse = [Int](repeating: -1, count: graph.values.count)
    for (index, node) in graph.nodes.enumerated() {
      for value in node.inputs + node.outputs { lastUse[value] = index }
    }
    let end = graph.nodes.count
    for result in graph.results { lastUse[result] = end }
    // Who reads a relabelled value reads the memory it relabels.
    let roots = Self.relabellingRoots(graph)
    for value in roots.indices { lastUse[roots[value]] = max(lastUse[roots[value]], lastUse[value]) }
    /// The last use of any value in each buffer.
    var lastUseOfBuffer: [Int] = []
    var inputOfUpdate: [Int: Int] = [:]
    for (index, input) in graph.inputs.enumerated() {
      let size = graph.values[input.value].byteCount
      place(input.value, Buffer(home: .input(index), byteCount: size, first: -1, last: end))
      lastUseOfBuffer.append(lastUse[input.value])
      if let update = input.update { inputOfUpdate[update] = index }
    }
    for value in graph.constants.keys.sorted() {
      place(value, Buffer(home: .constant, byteCount: graph.values[value].byteCount, first: -1, last: end))
      lastUseOfBuffer.append(end)
    }

    for (index, node) in graph.nodes.enumerated() {
      if node.operation.isRelabelling, let buffer = bufferOfValue[node.inputs[0]] {
        bufferOfValue[node.outputs[0]] = buffer
        buffers[buffer].last = max(buffers[buffer].last, index)
        continue
      }
      var taken: Set<Int> = []
      for input in node.inputs {
        if let buffer = bufferOfValue[input] { buffers[buffer].last = max(buffers[buffer].last, index) }
      }
      for (position, output) in node.outputs.enumerated() {
        let target = node.inputs.indices.first { place in
          guard allowsOverwriting, let buffer = bufferOfValue[node.inputs[place]], !taken.contains(buffer),
            lastUseOfBuffer[buffer] <= index
          else { return false }
          switch buffers[buffer].home {
          case .arena: break
          case .input(let number): if inputOfUpdate[output] != number { return false }
          case .constant, .result: return false
          }
          return mayOverwrite(place, with: position, in: node, graph)
        }
        if let target, let buffer = bufferOfValue[node.inputs[target]] {
          bufferOfValue[output] = buffer
          taken.insert(buffer)
          overwriteCount += 1
          lastUseOfBuffer[buffer] = max(lastUse[output], index)
          buffers[buffer].last = max(buffers[buffer].last, index)
        } else {
          place(output, Buffer(home: .arena, byteCount: graph.values[output].byteCount, first: index, last: index))
          lastUseOfBuffer.append(max(lastUse[output], index))
        }
      }
    }
    bufferOfScratch = scratchByteCounts.enumerated().map { index, byteCount in
      guard byteCount > 0 else { return nil }
      buffers.append(Buffer(home: .arena, byteCount: byteCount, first: index, last: index))
      return buffers.count - 1
    }
    // What the caller gets lives in memory of its own, to the end; what replaces an input is copied there at the end.
    for output in graph.outputs {
      guard let buffer = bufferOfValue[output], buffers[buffer].home == .arena else { continue }
      buffers[buffer].home = .result
      buffers[buffer].last = end
    }
    for update in inputOfUpdate.keys {
      if let buffer = bufferOfValue[update], buffers[buffer].home == .arena { buffers[buffer].last = end }
    }
  }

  /// Whether the node bears an output in the memory of an input, and of its other inputs that lie there.
  private func mayOverwrite(_ place: Int, with position: Int, in node: Graph.Node, _ graph: Graph) -> Bool {
    let (input, output) = (graph.values[node.inputs[place]], graph.values[node.outputs[position]])
    guard input.shape == output.shape, input.elementType == output.elementType else { return false }
    let buffer = bufferOfValue[node.inputs[place]]
    return node.inputs.indices.allSatisfy { other in
      bufferOfValue[node.inputs[other]] != buffer
        || (graph.values[node.inputs[other]].shape == output.shape
          && node.operation.mayOverwrite(input: other, with: position))
    }
  }

  private mutating func place(_ value: Int, _ buffer: Buffer) {
    buffers.append(buffer)
    bufferOfValue[value] = buffers.count - 1
  }

  /// The value whose memory each value relabels in the end; itself if it relabels none.
  private static func relabellingRoots(_ graph: Graph) -> [Int] {
    var roots = Array(graph.values.indices)
    for node in graph.nodes where node.operation.isRelabelling { roots[node.outputs[0]] = roots[node.inputs[0]] }
    return roots
  }

  /// The most bytes in planned and result memory at once, if nothing were lost between buffers.
  var peakByteCount: Int {
    let steps = (buffers.map(\.last).max() ?? 0) + 2
    var change = [Int](repeating: 0, count: steps + 1)
    for buffer in buffers where buffer.home == .arena || buffer.home == .result {
      change[buffer.first + 1] += buffer.byteCount
      change[buffer.last + 2] -= buffer.byteCount
    }
    var (now, most) = (0, 0)
    for step in change {
      now += step
      most = max(most, now)
    }
    return most
  }
}

extension Graph {
  /// The most bytes in planned and result memory at once.
  func peakByteCount(in context: EvaluationContext) -> Int {
    BufferAssignment(self, allowsOverwriting: true, scratchByteCounts: scratchByteCounts(in: context)).peakByteCount
  }
}
