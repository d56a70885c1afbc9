import Autograd
import GraphCompiler
import Logging
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
/// clipping and the optimizer's update, which writes parameters and what the optimizer keeps of them in place.
public final class CompiledTrainingStep<Optimizer: CompilableOptimizer>: Sendable {
  private struct Note: Sendable {
    /// Trainable parameters, by their position among those, that the step moves.
    var moved: [Int]
    /// Random words drawn.
    var drawn: UInt64
    /// The buffers that `outputs` after the loss and the norm belong to.
    var buffers: [ParameterReference]
  }

  private let function: CompiledFunction<Note>
  private let optimizer: Optimizer
  private let layout: ParameterLayout
  private let targetCount: Int

  /// - Parameters:
  ///   - batch: the samples a batch may have.
  ///   - extents: the ranges of the input's spatial extents.
  ///   - targetChannels: channels of region targets (uint8); `nil` for labels (int16).
  public init(
    _ network: UNet, loss: DeepSupervisionLoss, optimizer: Optimizer, maximumNorm: Double, batch: VariableRange,
    extents: [VariableRange], targetChannels: Int?, options: CompilerOptions = .fromEnvironment,
    logger: Logger = .compilation
  ) {
    self.optimizer = optimizer
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
    inputs.append(optimizer.numberDeclaration(parameterCount: layout.trainable.count))
    inputs.append(InputDeclaration("generator", .uint64, shape: [2]))
    let firstValue = inputs.count
    for entry in layout.entries { inputs.append(InputDeclaration(entry.name, entry.elementType, shape: entry.shape)) }
    let firstState = inputs.count
    let stateNames = optimizer.stateNames
    for entry in layout.trainable.map({ layout.entries[$0] }) {
      inputs += stateNames.map { InputDeclaration("\(entry.name).\($0)", shape: entry.shape) }
    }
    function = CompiledFunction(
      "the training step", inputs: inputs, variables: spatial.variables(batch: batch, extents: extents),
      options: options, logger: logger
    ) { arguments in
      let (numbers, state) = (arguments[firstValue - 2], arguments[firstValue - 1])
      let tape = Tape()
      let parameters = ParameterSet(layout: layout, values: Array(arguments[firstValue..<firstState]))
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
        let (parameter, state) = (firstValue + layout.trainable[index], firstState + index * stateNames.count)
        let step = optimizer.updated(
          arguments[parameter], index: index, state: Array(arguments[state..<state + stateNames.count]),
          gradient: gradient, factor: clipping[0], numbers: numbers)
        updates[parameter] = step.parameter
        for (offset, value) in step.state.enumerated() { updates[state + offset] = value }
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

  /// Compiles before the first step; see `CompiledFunction.prepare`.
  @discardableResult
  public func prepare() -> CompileReport? { function.prepare() }

  /// One step. Parameters, the optimizer's state and the generator move on unless loss or norm are not finite.
  ///
  /// - Parameters:
  ///   - input: `[N, spatial, C]`.
  ///   - targets: one for each head that the loss knows, finest first.
  public func callAsFunction(
    input: Tensor, targets: [Tensor], parameters: inout ParameterSet, state: inout Optimizer.State,
    learningRate: Double, generator: inout RandomGenerator
  ) -> TrainingStepResult {
    let (positions, stateCount) = (layout.trainable, optimizer.stateNames.count)
    var arguments = [input] + targets + [optimizer.numbers(learningRate: learningRate, state: state)]
    arguments.append(Tensor([generator.key, generator.position], shape: [2]))
    let firstValue = arguments.count
    arguments += parameters.values
    let firstState = arguments.count
    // Parameters and state are held once, so that the step can write in place.
    var kept = optimizer.takeTensors(of: &state)
    check(
      targets.count == targetCount && kept.count == positions.count,
      "CompiledTrainingStep: \(targets.count) targets and the optimizer's state of \(kept.count) parameters")
    let hadState = kept.map { $0 != nil }
    for (index, position) in positions.enumerated() {
      arguments += kept[index] ?? (0..<stateCount).map { _ in Tensor(zeros: layout.entries[position].shape) }
      kept[index] = nil
    }
    parameters.values = []
    let (outputs, note) = function.run(&arguments)
    parameters.values = Array(arguments[firstValue..<firstState])
    let moved = Set(note.moved)
    for index in positions.indices where moved.contains(index) || hadState[index] {
      kept[index] = Array(arguments[firstState + index * stateCount..<firstState + (index + 1) * stateCount])
    }
    let result = TrainingStepResult(loss: outputs[0].scalar(), norm: Double(outputs[1].scalar()))
    optimizer.put(kept, into: &state, moved: result.isTaken ? note.moved : [])
    generator.position &+= note.drawn
    if result.isTaken {
      for (reference, value) in zip(note.buffers, outputs.dropFirst(2)) { parameters.set(reference.index, to: value) }
    }
    return result
  }
}
