import TensorCore

/// Where every value lives during a run: offsets in one arena, planned for the largest shapes and kept for all.
struct MemoryPlan: Sendable {
  enum Place: Sendable, Hashable {
    case input(Int)
    case constant(Int)
    case arena(offset: Int)
    /// Number of the tensor that the caller gets.
    case result(Int)
  }

  /// For each value; `nil` for values of nobody.
  private(set) var places: [Place?]
  private(set) var resultCount = 0
  /// Values and scratch memory.
  private(set) var arenaByteCount = 0
  /// Memory of outputs.
  private(set) var resultByteCount = 0
  /// For each node where its scratch memory lies in the arena; `nil` if it takes none.
  private(set) var scratch: [Range<Int>?]
  private(set) var overwriteCount: Int
  /// Which values share memory.
  private let sharing: [Int?]
  /// Bytes each value may take.
  private let capacities: [Int]
  /// For each node by how much its output is ahead of the input it is written over.
  private let leads: [Int]
  private let refusedLeads: Set<Int>

  private static let alignment = BufferAssignment.alignment

  init(_ graph: Graph, allowsOverwriting: Bool, context: EvaluationContext) {
    let scratchByteCounts = graph.scratchByteCounts(in: context)
    refusedLeads = BufferAssignment.leadsToRefuse(graph, scratchByteCounts: scratchByteCounts)
    let assignment = BufferAssignment(
      graph, allowsOverwriting: allowsOverwriting, scratchByteCounts: scratchByteCounts, refusingLeads: refusedLeads)
    overwriteCount = assignment.overwriteCount
    sharing = assignment.bufferOfValue
    leads = assignment.leads
    capacities = graph.values.map(\.byteCount)
    let offsets = Self.offsets(assignment.buffers)
    var resultOfBuffer: [Int: Int] = [:]
    scratch = assignment.bufferOfScratch.map { buffer in
      buffer.map { offsets[$0]..<offsets[$0] + assignment.buffers[$0].byteCount }
    }
    places = []
    for value in graph.values.indices {
      guard let buffer = assignment.bufferOfValue[value] else {
        places.append(nil)
        continue
      }
      switch assignment.buffers[buffer].home {
      case .input(let number): places.append(.input(number))
      case .constant: places.append(.constant(value))
      case .arena: places.append(.arena(offset: offsets[buffer] + assignment.offsetOfValue[value]))
      case .result:
        let number = resultOfBuffer[buffer] ?? resultCount
        if number == resultCount {
          resultOfBuffer[buffer] = number
          resultCount += 1
          resultByteCount += StoragePool.capacity(for: assignment.buffers[buffer].byteCount)
        }
        places.append(.result(number))
      }
    }
    // Relabelled constants live where the constant does.
    for node in graph.nodes where node.operation.isRelabelling {
      if case .constant(let origin) = places[node.inputs[0]] { places[node.outputs[0]] = .constant(origin) }
    }
    for (buffer, offset) in zip(assignment.buffers, offsets) where buffer.home == .arena {
      arenaByteCount = max(arenaByteCount, offset + buffer.byteCount)
    }
    arenaByteCount = StoragePool.capacity(for: arenaByteCount)
  }

  /// Whether a graph of the same structure at other shapes can use this plan.
  func fits(_ graph: Graph, allowsOverwriting: Bool, context: EvaluationContext) -> Bool {
    let needed = graph.scratchByteCounts(in: context)
    let assignment = BufferAssignment(
      graph, allowsOverwriting: allowsOverwriting, scratchByteCounts: needed, refusingLeads: refusedLeads)
    return zip(graph.values, capacities).allSatisfy { $0.byteCount <= $1 }
      && zip(needed, scratch).allSatisfy { $0 <= $1?.count ?? 0 } && assignment.bufferOfValue == sharing
      && zip(assignment.leads, leads).allSatisfy { $0 <= $1 }
  }

  /// The most bytes that a run takes besides its inputs.
  var peakByteCount: Int { arenaByteCount + resultByteCount }

  /// Places the largest buffers first, the greedy order of Pisarchyk, Lee: "Efficient memory management for deep neural net
  /// inference", arXiv:2001.03288, or those first that take most for longest, whichever needs the smaller arena.
  private static func offsets(_ buffers: [BufferAssignment.Buffer]) -> [Int] {
    let indices = buffers.indices.filter { buffers[$0].home == .arena }
    func arrangement(by weight: (BufferAssignment.Buffer) -> Int) -> (offsets: [Int], byteCount: Int) {
      let weights = buffers.map(weight)
      let offsets = Self.offsets(buffers, inOrder: indices.sorted { (weights[$0], $1) > (weights[$1], $0) })
      return (offsets, indices.map { offsets[$0] + buffers[$0].byteCount }.max() ?? 0)
    }
    let bySize = arrangement { $0.byteCount }
    let byTime = arrangement { $0.byteCount * ($0.last - $0.first + 1) }
    return byTime.byteCount < bySize.byteCount ? byTime.offsets : bySize.offsets
  }

  /// Places buffers one after another, each in the smallest gap between those that live at the same time.
  private static func offsets(_ buffers: [BufferAssignment.Buffer], inOrder order: [Int]) -> [Int] {
    var offsets = [Int](repeating: 0, count: buffers.count)
    var placed: [BufferAssignment.Span] = []
    for index in order {
      let spans = buffers[index].spans.map(Self.placed)
      // Offsets at which a span would lie over another of its time.
      let refused = spans.flatMap { span in
        placed.filter { $0.first <= span.last && span.first <= $0.last }.map {
          $0.bytes.lowerBound - span.bytes.upperBound + 1..<$0.bytes.upperBound - span.bytes.lowerBound
        }
      }
      var (best, fewest) = (-1, Int.max)
      var offset = 0
      for range in refused.sorted(by: { $0.lowerBound < $1.lowerBound }) {
        let choices = range.lowerBound - offset
        if choices > 0, choices < fewest { (best, fewest) = (offset, choices) }
        offset = max(offset, range.upperBound)
      }
      offsets[index] = best >= 0 ? best : offset
      placed += spans.map {
        .init(
          first: $0.first, last: $0.last,
          bytes: $0.bytes.lowerBound + offsets[index]..<$0.bytes.upperBound + offsets[index])
      }
    }
    return offsets
  }

  /// What a span takes in the arena. Large ones are not followed by the next at once: where tensors of one size begin at
  /// the same offset in a page, a processor that compares only those bits takes a load from one for a load of what it just
  /// stored to another, and waits.
  private static func placed(_ span: BufferAssignment.Span) -> BufferAssignment.Span {
    var span = span
    let lines = span.bytes.upperBound.roundedUp(toMultipleOf: alignment)
    span.bytes = span.bytes.lowerBound..<lines + (lines < 1 << 20 ? 0 : 17 * alignment)
    return span
  }
}

extension Graph {
  /// The scratch memory each node takes.
  func scratchByteCounts(in context: EvaluationContext) -> [Int] {
    nodes.map { node in
      node.operation.isRelabelling
        ? 0 : node.operation.scratchByteCount(of: node.inputs.map { values[$0].shape }, in: context)
    }
  }
}
