import TensorCore

/// Which values share memory, and when each piece of memory is in use.
///
/// A relabelling shares the memory of its input. An output is written over an input where the operation allows it and
/// liveness proves that nobody reads the input's memory afterwards. Where the operation needs a lead, the buffer grows in
/// front by that much.
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
    /// The parts of it that are in use, each for a time.
    var spans: [Span] = []
  }

  /// Bytes of a buffer that are in use from one node to another.
  struct Span {
    var first: Int
    var last: Int
    var bytes: Range<Int>
  }

  static let inPlaceName = "in-place"
  /// Every value starts on a cache line and a vector register boundary.
  static let alignment = 64

  private(set) var buffers: [Buffer] = []
  /// For each value its buffer; `nil` for values of nobody.
  private(set) var bufferOfValue: [Int?]
  /// For each value where it begins in its buffer, in bytes.
  private(set) var offsetOfValue: [Int]
  /// For each node by how many bytes its output begins before the input it is written over.
  private(set) var leads: [Int]
  /// For each node the buffer of its scratch memory, if it takes any.
  private(set) var bufferOfScratch: [Int?] = []
  /// How many outputs are written over inputs.
  private(set) var overwriteCount = 0
  /// Buffers whose values begin at different places.
  private var grownBuffers: Set<Int> = []

  /// - Parameters:
  ///   - allowsOverwriting: whether outputs may be written over inputs.
  ///   - scratchByteCounts: what each node takes besides its outputs.
  ///   - refusingLeads: nodes whose outputs are not written over inputs if that needs a lead.
  init(_ graph: Graph, allowsOverwriting: Bool, scratchByteCounts: [Int], refusingLeads: Set<Int>) {
    bufferOfValue = [Int?](repeating: nil, count: graph.values.count)
    offsetOfValue = [Int](repeating: 0, count: graph.values.count)
    leads = [Int](repeating: 0, count: graph.nodes.count)
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
        offsetOfValue[node.outputs[0]] = offsetOfValue[node.inputs[0]]
        buffers[buffer].last = max(buffers[buffer].last, index)
        continue
      }
      var taken: Set<Int> = []
      for input in node.inputs {
        if let buffer = bufferOfValue[input] { buffers[buffer].last = max(buffers[buffer].last, index) }
      }
      for (position, output) in node.outputs.enumerated() {
        var lead = 0
        let target = node.inputs.indices.first { place in
          guard allowsOverwriting, let buffer = bufferOfValue[node.inputs[place]], !taken.contains(buffer),
            lastUseOfBuffer[buffer] <= index, let needed = self.lead(place, with: position, in: node, graph),
            needed == 0 || !refusingLeads.contains(index)
          else { return false }
          lead = needed
          switch buffers[buffer].home {
          // What the caller gets has nothing in front of it or behind.
          case .arena: return lastUse[output] < end || (needed == 0 && !grownBuffers.contains(buffer))
          case .input(let number): return inputOfUpdate[output] == number && needed == 0
          case .constant, .result: return false
          }
        }
        if let target, let buffer = bufferOfValue[node.inputs[target]] {
          moveUp(buffer, by: lead - offsetOfValue[node.inputs[target]])
          bufferOfValue[output] = buffer
          offsetOfValue[output] = offsetOfValue[node.inputs[target]] - lead
          leads[index] = max(leads[index], lead)
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
      guard let buffer = bufferOfValue[update], buffers[buffer].home == .arena else { continue }
      buffers[buffer].last = end
      lastUse[update] = end
    }
    setSpans(graph, lastUse)
  }

  /// A buffer whose values begin at different places has room for each while it lives; others are in use as a whole.
  private mutating func setSpans(_ graph: Graph, _ lastUse: [Int]) {
    for buffer in buffers.indices where !grownBuffers.contains(buffer) {
      let (first, last, byteCount) = (buffers[buffer].first, buffers[buffer].last, buffers[buffer].byteCount)
      buffers[buffer].spans = [Span(first: first, last: last, bytes: 0..<byteCount)]
    }
    for (index, node) in graph.nodes.enumerated() {
      for output in node.outputs {
        guard let buffer = bufferOfValue[output], grownBuffers.contains(buffer) else { continue }
        let offset = offsetOfValue[output]
        buffers[buffer].spans.append(
          Span(
            first: index, last: max(index, lastUse[output]), bytes: offset..<offset + graph.values[output].byteCount))
      }
    }
  }

  /// Makes room in front of the values of a buffer; none if `byteCount` is not positive.
  private mutating func moveUp(_ buffer: Int, by byteCount: Int) {
    guard byteCount > 0 else { return }
    grownBuffers.insert(buffer)
    for value in bufferOfValue.indices where bufferOfValue[value] == buffer { offsetOfValue[value] += byteCount }
    buffers[buffer].byteCount += byteCount
  }

  /// By how much an output must begin before an input whose memory it takes: whole cache lines. `nil` if the node does not
  /// bear it there, or another of its inputs lies there that does not.
  private func lead(_ place: Int, with position: Int, in node: Graph.Node, _ graph: Graph) -> Int? {
    let (input, output) = (graph.values[node.inputs[place]], graph.values[node.outputs[position]])
    guard input.shape == output.shape, input.elementType == output.elementType else { return nil }
    let shapes = node.inputs.map { graph.values[$0].shape }
    guard let lead = node.operation.overwritingLead(input: place, with: position, of: shapes) else { return nil }
    let (buffer, offset) = (bufferOfValue[node.inputs[place]], offsetOfValue[node.inputs[place]])
    let isBorne = node.inputs.indices.allSatisfy { other in
      guard bufferOfValue[node.inputs[other]] == buffer, other != place else { return true }
      guard shapes[other] == output.shape, offsetOfValue[node.inputs[other]] == offset else { return false }
      return node.operation.overwritingLead(input: other, with: position, of: shapes).map { $0 <= lead } ?? false
    }
    return isBorne ? lead.roundedUp(toMultipleOf: Self.alignment) : nil
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
    var inUse = [Int](repeating: 0, count: steps)
    for buffer in buffers where buffer.home == .arena || buffer.home == .result {
      for step in buffer.first...buffer.last {
        let bytes = buffer.spans.lazy.filter { $0.first <= step && step <= $0.last }.map(\.bytes)
        let (lower, upper) = bytes.reduce((Int.max, 0)) { (min($0.0, $1.lowerBound), max($0.1, $1.upperBound)) }
        inUse[step + 1] += max(0, upper - lower)
      }
    }
    return inUse.max() ?? 0
  }
}

extension BufferAssignment {
  /// Nodes that better write beside an input than over it: a lead makes the buffer larger as long as it lives, which pays
  /// only where the peak would be.
  static func leadsToRefuse(_ graph: Graph, scratchByteCounts: [Int]) -> Set<Int> {
    func assignment(_ refused: Set<Int>) -> BufferAssignment {
      BufferAssignment(graph, allowsOverwriting: true, scratchByteCounts: scratchByteCounts, refusingLeads: refused)
    }
    var refused: Set<Int> = []
    var current = assignment(refused)
    while true {
      // The refusal that leaves the lowest peak, if it is no higher than now.
      var best: (node: Int, assignment: BufferAssignment)?
      for node in graph.nodes.indices where current.leads[node] > 0 {
        let other = assignment(refused.union([node]))
        if other.peakByteCount < best?.assignment.peakByteCount ?? current.peakByteCount + 1 { best = (node, other) }
      }
      guard let best else { return refused }
      refused.insert(best.node)
      current = best.assignment
    }
  }
}

extension Graph {
  /// The most bytes in planned and result memory at once.
  func peakByteCount(in context: EvaluationContext) -> Int {
    BufferAssignment(
      self, allowsOverwriting: true, scratchByteCounts: scratchByteCounts(in: context), refusingLeads: []
    ).peakByteCount
  }
}
