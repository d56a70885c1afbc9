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

  /// Places the largest buffers first, each in the smallest gap between those that live at the same time: the greedy
  /// order of Pisarchyk, Lee: "Efficient memory management for deep neural net inference", arXiv:2001.03288.
  private static func offsets(_ buffers: [BufferAssignment.Buffer]) -> [Int] {
    var offsets = [Int](repeating: 0, count: buffers.count)
    let order = buffers.indices.filter { buffers[$0].home == .arena }
      .sorted { (buffers[$0].byteCount, $1) > (buffers[$1].byteCount, $0) }
    var placed: [Int] = []
    for index in order {
      let buffer = buffers[index]
      let size = Self.placedByteCount(buffer)
      let neighbours = placed.filter { buffers[$0].first <= buffer.last && buffer.first <= buffers[$0].last }
        .sorted { offsets[$0] < offsets[$1] }
      var (best, bestGap) = (-1, Int.max)
      var end = 0
      for other in neighbours {
        let gap = offsets[other] - end
        if gap >= size, gap < bestGap { (best, bestGap) = (end, gap) }
        end = max(end, offsets[other] + Self.placedByteCount(buffers[other]))
      }
      offsets[index] = best >= 0 ? best : end
      placed.append(index)
    }
    return offsets
  }

  /// What a buffer takes in the arena. Large ones are not followed by the next at once: where tensors of one size begin at
  /// the same offset in a page, a processor that compares only those bits takes a load from one for a load of what it just
  /// stored to another, and waits.
  private static func placedByteCount(_ buffer: BufferAssignment.Buffer) -> Int {
    let lines = buffer.byteCount.roundedUp(toMultipleOf: alignment)
    return lines < 1 << 20 ? lines : lines + 17 * alignment
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
