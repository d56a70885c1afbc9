import TensorCore

/// The convolutions, plain and fused, in one form: what they read and how, and the rest of their inputs.
struct ConvolutionForm {
  enum Kind {
    case forward(ConvolutionGeometry, givesStatistics: Bool)
    case transposed(TransposedConvolution)
    case weightGradient(ConvolutionGeometry, kernel: [Int])
  }

  /// Something that is read, with its normalisation's terms if it is normalised while being read.
  struct Source {
    var kind: ConvolutionSource
    var inputs: [Int]
  }

  var kind: Kind
  /// The activation, or two that count as concatenated.
  var sources: [Source]
  /// For weight gradients: the gradient of the output, or the activation of a transposed convolution.
  var gradient: Source?
  /// Weight and bias.
  var rest: [Int]

  /// The form of a node, `nil` if it is no convolution.
  init?(_ node: Graph.Node) {
    func plain(_ index: Int) -> Source { Source(kind: .plain, inputs: [node.inputs[index]]) }
    func grouped(_ kinds: [ConvolutionSource]) -> (sources: [Source], rest: [Int]) {
      var first = 0
      let sources = kinds.map { kind in
        defer { first += kind.inputCount }
        return Source(kind: kind, inputs: Array(node.inputs[first..<first + kind.inputCount]))
      }
      return (sources, Array(node.inputs[first...]))
    }
    switch node.operation {
    case let operation as Convolution:
      kind = .forward(operation.geometry, givesStatistics: false)
      (sources, gradient, rest) = ([plain(0)], nil, Array(node.inputs.dropFirst()))
    case let operation as FusedConvolution:
      kind = .forward(operation.geometry, givesStatistics: operation.givesStatistics)
      (sources, rest) = grouped(operation.sources)
      gradient = nil
    case let operation as TransposedConvolution:
      kind = .transposed(operation)
      (sources, gradient, rest) = ([plain(0)], nil, Array(node.inputs.dropFirst()))
    case let operation as FusedTransposedConvolution:
      kind = .transposed(operation.composed)
      (sources, rest) = grouped([operation.source])
      gradient = nil
    case let operation as ConvolutionWeightGradient:
      kind = .weightGradient(operation.geometry, kernel: operation.kernel)
      (sources, gradient, rest) = ([plain(0)], plain(1), [])
    case let operation as FusedConvolutionWeightGradient:
      kind = .weightGradient(operation.geometry, kernel: operation.kernel)
      let all = grouped(operation.sources + [operation.gradientSource]).sources
      (sources, gradient, rest) = (all.dropLast(), all.last, [])
    default: return nil
    }
  }

  var inputs: [Int] { sources.flatMap(\.inputs) + (gradient?.inputs ?? []) + rest }

  private var isPlain: Bool {
    sources.count == 1 && (sources + [gradient].compactMap { $0 }).allSatisfy { $0.kind == .plain }
  }

  /// The operation for the form; fused only where something is.
  var operation: any Operation {
    switch kind {
    case .forward(let geometry, let givesStatistics):
      if isPlain && !givesStatistics { return Convolution(geometry) }
      return FusedConvolution(
        geometry, sources: sources.map(\.kind), hasBias: rest.count == 2, givesStatistics: givesStatistics)
    case .transposed(let operation):
      return isPlain ? operation : FusedTransposedConvolution(operation, source: sources[0].kind)
    case .weightGradient(let geometry, let kernel):
      if isPlain { return ConvolutionWeightGradient(geometry, kernel: kernel) }
      return FusedConvolutionWeightGradient(
        geometry, kernel: kernel, sources: sources.map(\.kind), gradientSource: gradient?.kind ?? .plain)
    }
  }

  /// The node with other inputs or another operation, and the same outputs.
  func node(outputs: [Int]) -> Graph.Node { Graph.Node(operation: operation, inputs: inputs, outputs: outputs) }
}
