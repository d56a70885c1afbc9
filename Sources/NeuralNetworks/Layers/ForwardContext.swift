import TensorCore

/// What a forward pass depends on besides its input, and what it leaves besides its output.
///
/// Networks are pure functions of (input, parameters, mode, generator): nothing is global and nothing is kept in them.
public struct ForwardContext: Sendable {
  public enum Mode: Hashable, Sendable {
    /// Dropout drops, batch normalization uses and records the batch's statistics.
    case training
    /// Dropout is the identity, batch normalization uses running statistics.
    case evaluation
  }

  /// Followed by a tape where gradients are wanted.
  public let parameters: ParameterSet
  public let mode: Mode
  /// Where dropout draws its masks; moved on by every draw.
  public var generator: RandomGenerator
  /// New values of buffers, in the order of computation; the caller applies them when the step succeeded.
  public private(set) var bufferUpdates: [BufferUpdate] = []
  /// Whether layers may put off normalisations and activations, for the next layer to apply while it reads.
  let fuses: Bool
  /// How convolutions are computed; `nil` for the way that is fastest.
  package var convolutionAlgorithm: ConvolutionAlgorithm?
  /// Factors `[N, C]` to use instead of drawing, by the dropout layer's name.
  package var recordedDropoutFactors: [String: Tensor] = [:]
  /// The generator's state as a tensor (key and position, uint64 `[2]`), for passes that are traced: masks then depend
  /// on it, and `generator`, which starts at position 0, only counts what is drawn.
  package var generatorState: Tensor?

  /// - Parameter fuses: compute with fused operations where layers allow it: less memory, fewer passes over it. Without,
  ///   every layer is an operation of its own, which is what a tape or a tracer should see.
  public init(parameters: ParameterSet, mode: Mode, generator: RandomGenerator, fuses: Bool = false) {
    self.parameters = parameters
    self.mode = mode
    self.generator = generator
    self.fuses = fuses
  }

  /// A context that draws nothing and records nothing.
  public static func evaluation(_ parameters: ParameterSet, fuses: Bool = true) -> ForwardContext {
    ForwardContext(parameters: parameters, mode: .evaluation, generator: RandomGenerator(seed: 0), fuses: fuses)
  }

  package subscript(reference: ParameterReference) -> Tensor { parameters[reference] }

  mutating func update(_ reference: ParameterReference, to value: Tensor) {
    bufferUpdates.append(BufferUpdate(reference: reference, value: value))
  }
}

/// A function of activations with parameters that it finds in the context.
public protocol Module: Sendable {
  /// - Parameter input: channels-last, `[N, Z, Y, X, C]` or `[N, Y, X, C]`. Consumed: its memory is free for what comes
  ///   after as soon as nobody else needs it, which halves what evaluation holds.
  func callAsFunction(_ input: consuming Features, _ context: inout ForwardContext) -> Features
}
