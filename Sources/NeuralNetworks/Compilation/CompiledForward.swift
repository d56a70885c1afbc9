import GraphCompiler
import Logging
import TensorCore

/// A network's evaluation as a compiled function of an input and parameters: one serves all folds.
public final class CompiledForward: Sendable {
  private let function: CompiledFunction<Void>
  private let layout: ParameterLayout

  /// What it computes.
  public enum Part: Sendable, Hashable {
    /// The logits at the input's resolution.
    case logits
    /// What ``UNet/predictHead(_:_:)`` turns into logits.
    case features
    /// The logits of all heads, finest first.
    case allHeads
  }

  /// - Parameters:
  ///   - batch: the samples an input may have.
  ///   - extents: the ranges of the input's spatial extents.
  public init(
    _ network: UNet, _ part: Part, batch: VariableRange, extents: [VariableRange],
    options: CompilerOptions = .fromEnvironment, logger: Logger = .compilation
  ) {
    let layout = network.layout
    self.layout = layout
    let spatial = SpatialNames(network.architecture.dimensions)
    let image = InputDeclaration("image", axes: spatial.axes(channels: network.inputChannels))
    let values = layout.entries.map { InputDeclaration($0.name, $0.elementType, shape: $0.shape) }
    function = CompiledFunction(
      "the network", inputs: [image] + values, variables: spatial.variables(batch: batch, extents: extents),
      options: options, logger: logger
    ) { arguments in
      let parameters = ParameterSet(layout: layout, values: Array(arguments.dropFirst()))
      // A tracer sees layers one by one, for the passes to fuse; a run without compilation fuses them itself.
      let fuses = !arguments[0].isFollowed
      let outputs: [Tensor]
      switch part {
      case .logits: outputs = [network.predict(arguments[0], parameters, fuses: fuses)]
      case .features: outputs = [network.predictFeatures(arguments[0], parameters, fuses: fuses)]
      case .allHeads:
        var context = network.evaluationContext(parameters, fuses: fuses)
        outputs = network(arguments[0], &context, deepSupervision: true)
      }
      return FunctionResult(outputs: outputs, updates: [:], note: ())
    }
  }

  public var reports: [CompileReport] { function.reports }
  package var graphs: [(traced: Graph, final: Graph)] { function.graphs }

  /// Compiles before the first evaluation; see `CompiledFunction.prepare`.
  @discardableResult
  public func prepare() -> CompileReport? { function.prepare() }

  /// - Parameter input: `[N, spatial, C]`.
  public func callAsFunction(_ input: Tensor, _ parameters: ParameterSet) -> [Tensor] {
    check(parameters.layout == layout, "CompiledForward: parameters of another network")
    var arguments = [input] + parameters.values
    return function.run(&arguments).outputs
  }
}
