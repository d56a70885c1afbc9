import Autograd
import GraphCompiler
import TensorCore

/// What a training step tells.
public struct TrainingStepResult: Sendable {
  public let loss: Float
  /// The gradients' global norm before clipping.
  public let norm: Double
  /// Whether parameters moved: not where loss or norm are not finite.
  public var isTaken: Bool { loss.isFinite && norm.isFinite }
}

/// A whole training step of a network as one compiled function: forward pass, deep-supervised loss, backward pass,
/// clipping and the optimizer's update, which writes parameters and momenta in place.
public final class CompiledTrainingStep: Sendable {
  private struct Note: Sendable {
    /// Trainable parameters, by their position among those, that the step moves.
    var moved: [Int]
    /// Random words drawn.
    var drawn: UInt64
    /// The buffers that `outputs` after the loss and the norm belong to.
    var buffers: [ParameterReference]
  }

  private let function: CompiledFunction<Note>
  private let layout: ParameterLayout
  private let targetCount: Int

  /// - Parameters:
  ///   - batch: the samples a batch may have.
  ///   - extents: the ranges of the input's spatial extents.
  ///   - targetChannels: channels of region targets (uint8); `nil` for labels (int16).
  public init(
    _ network: UNet, loss: DeepSupervisionLoss, optimizer: SGD, maximumNorm: Double, batch: VariableRange,
    extents: [VariableRange], targetChannels: Int?, options: CompilerOptions = .fromEnvironment
  ) {
    let layout = network.layout
    let weightCount = loss.weights.count
    self.layout = layout
    targetCount = weightCount
    let spatial = SpatialNames(network.architecture.dimensions)
    var inputs = [InputDeclaration("image", axes: spatial.axes(channels: network.inputChannels))]
    for strides in network.architecture.headStrides.prefix(weightCount) {
      inputs.append(
        InputDeclaration(
          "target\(inputs.count - 1)", targetChannels == nil ? .int16 : .uint8,
          axes: spatial.axes(channels: targetChannels, dividedBy: strides)))
    }
    inputs.append(InputDeclaration("learning_rate", shape: []))
    inputs.append(InputDeclaration("generator", .uint64, shape: [2]))
    let firstValue = inputs.count
    for entry in layout.entries { inputs.append(InputDeclaration(entry.name, entry.elementType, shape: entry.shape)) }
    let firstMomentum = inputs.count
    for index in layout.trainable {
      inputs.append(InputDeclaration(layout.entries[index].name + ".momentum", shape: layout.entries[index].shape))
    }
    function = CompiledFunction(
      "the training step", inputs: inputs, variables: spatial.variables(batch: batch, extents: extents),
      options: options
    ) { arguments in
      let (rate, state) = (arguments[firstValue - 2], arguments[firstValue - 1])
      let tape = Tape()
      let parameters = ParameterSet(layout: layout, values: Array(arguments[firstValue..<firstMomentum]))
      let followed = parameters.followed(by: tape)
      var context = ForwardContext(parameters: followed, mode: .training, generator: RandomGenerator(seed: 0))
      context.generatorState = state
      let heads = network(arguments[0], &context, deepSupervision: weightCount > 1)
      let value = loss(heads, Array(arguments[1...weightCount]))
      let gradients = tape.optionalGradients(
        of: [(value: value, seed: nil)], for: layout.trainable.map { followed.values[$0] })
      let lossValue = value.peeled(of: tape)
      let moved = gradients.indices.filter { gradients[$0] != nil }
      let clipping = GradientClipping(maximumNorm: maximumNorm).apply([lossValue] + gradients.compactMap { $0 })
      var updates: [Int: Tensor] = [:]
      for (index, gradient) in zip(moved, gradients.compactMap { $0 }) {
        let (parameter, momentum) = (firstValue + layout.trainable[index], firstMomentum + index)
        let step = SGDUpdate(optimizer).apply([
          arguments[parameter], arguments[momentum], gradient, clipping[0], rate,
        ])
        (updates[parameter], updates[momentum]) = (step[0], step[1])
      }
      let buffers = context.bufferUpdates.map { $0.value.peeled(of: tape) }
      return FunctionResult(
        outputs: [lossValue, clipping[1]] + buffers, updates: updates,
        note: Note(
          moved: moved, drawn: context.generator.position, buffers: context.bufferUpdates.map(\.reference)))
    }
  }

  public var reports: [CompileReport] { function.reports }
  package var graphs: [(traced: Graph, final: Graph)] { function.graphs }

  /// One step. Parameters, momenta and generator move on unless loss or norm are not finite.
  ///
  /// - Parameters:
  ///   - input: `[N, spatial, C]`.
  ///   - targets: one for each head that the loss knows, finest first.
  public func callAsFunction(
    input: Tensor, targets: [Tensor], parameters: inout ParameterSet, state: inout SGD.State, learningRate: Double,
    generator: inout RandomGenerator
  ) -> TrainingStepResult {
    let positions = layout.trainable
    check(
      targets.count == targetCount && state.momenta.count == positions.count,
      "CompiledTrainingStep: \(targets.count) targets and \(state.momenta.count) momenta")
    var arguments = [input] + targets + [Tensor(Float(learningRate))]
    arguments.append(Tensor([generator.key, generator.position], shape: [2]))
    let firstValue = arguments.count
    arguments += parameters.values
    let firstMomentum = arguments.count
    for (index, position) in positions.enumerated() {
      arguments.append(state.momenta[index] ?? Tensor(zeros: layout.entries[position].shape))
    }
    // Held once, so that the step can write in place.
    parameters.values = []
    let hadMomentum = state.momenta.map { $0 != nil }
    state.momenta = positions.map { _ in nil }
    let (outputs, note) = function.run(&arguments)
    parameters.values = Array(arguments[firstValue..<firstMomentum])
    let moved = Set(note.moved)
    for index in positions.indices where moved.contains(index) || hadMomentum[index] {
      state.momenta[index] = arguments[firstMomentum + index]
    }
    let result = TrainingStepResult(loss: outputs[0].scalar, norm: Double(outputs[1].scalar))
    generator.position &+= note.drawn
    if result.isTaken {
      for (reference, value) in zip(note.buffers, outputs.dropFirst(2)) { parameters.set(reference.index, to: value) }
    }
    return result
  }
}
