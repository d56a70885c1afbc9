import TensorCore

/// Runs the convolutions of the largest tensors in slabs, where that saves memory: what a transposed convolution made for
/// one alone is made slab by slab, and the result takes the memory of a source that nobody reads afterwards.
package struct ConvolutionSlabs: GraphPass {
  package static let name = "convolution-slabs"
  /// With fewer slabs little is saved.
  private static let fewestSlabs = 4

  package init() {}

  package func run(_ graph: Graph, _ context: inout PassContext) -> Graph {
    let slabPositions = context.slabPositions
    let consumers = graph.consumers, producers = graph.producers
    let results = Set(graph.results)
    var found: [Int: Graph.Node] = [:]
    for index in graph.nodes.indices {
      found[index] = Self.slabNode(index, graph, producers, consumers, results, slabPositions)
    }
    // Which convolutions are large is decided once.
    let choice = context.choice(of: Self.name) {
      found.filter { index, node in
        guard let operation = node.operation as? SlabConvolution else { return false }
        return operation.slabCount(of: node.inputs.map { graph.values[$0].shape }) >= Self.fewestSlabs
      }.keys.sorted()
    }
    var result = graph
    for index in choice { if let node = found[index] { result.nodes[index] = node } }
    return result.withoutDeadNodes()
  }

  /// The convolution in slabs, or `nil` where that makes no sense whatever its size.
  private static func slabNode(
    _ index: Int, _ graph: Graph, _ producers: [Int?], _ consumers: [[Int]], _ results: Set<Int>, _ slabPositions: Int
  ) -> Graph.Node? {
    let node = graph.nodes[index]
    guard let form = ConvolutionForm(node), case .forward(let geometry, let givesStatistics) = form.kind,
      geometry.stride[0] == 1, geometry.dilation[0] == 1,
      let first = form.sources.first,
      graph.values[first.inputs[0]].shape[1] == graph.values[node.outputs[0]].shape[1]
    else { return nil }
    let composed = FusedConvolution(
      geometry, sources: form.sources.map(\.kind), hasBias: form.rest.count == 2, givesStatistics: givesStatistics)
    if first.kind == .plain, consumers[first.inputs[0]] == [index], !results.contains(first.inputs[0]),
      !form.inputs.dropFirst().contains(first.inputs[0]),
      let producer = producers[first.inputs[0]], let making = ConvolutionForm(graph.nodes[producer]),
      case .transposed(let operation) = making.kind, SlabConvolution.mayUpsample(operation),
      Array(graph.values[making.rest[0]].shape.extents[2...]) == operation.geometry.stride
    {
      let slabs = SlabConvolution(
        composed, upsampling: FusedTransposedConvolution(operation, source: making.sources[0].kind),
        upsamplingHasBias: making.rest.count == 2, slabPositions: slabPositions)
      return Graph.Node(
        operation: slabs, inputs: making.inputs + form.inputs.dropFirst(), outputs: node.outputs)
    }
    // The memory of a source that is made by a node and read here for the last time.
    let isOverwriting = form.sources.contains { source in
      let value = source.inputs[0]
      return graph.values[value].shape == graph.values[node.outputs[0]].shape && producers[value] != nil
        && consumers[value].last == index && !results.contains(value)
    }
    guard isOverwriting else { return nil }
    return Graph.Node(
      operation: SlabConvolution(
        composed, upsampling: nil, upsamplingHasBias: false, slabPositions: slabPositions),
      inputs: node.inputs, outputs: node.outputs)
  }
}
