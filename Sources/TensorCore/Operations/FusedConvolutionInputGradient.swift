import CKernels

/// The gradient of a convolution with respect to its input that passes on while it is written: another gradient of the
/// same activation is added to it, and it is taken back through a leaky rectifier behind a normalisation, and summed up
/// as the normalisation's own gradient needs it.
///
/// Inputs: the output's gradient and the weight, as those of `ConvolutionInputGradient`, or of `Convolution` where the
/// convolution was transposed; the addend, like the result, if there is one; with an activation x, like the result,
/// weight and bias `[C]`, and the statistics of x, as `InstanceNormalizationGradient` takes them.
/// Outputs: the gradient for the convolution's input, or before its activation; with one also `[2, N, C]`, its sums over
/// each instance and those of its products with the normalised x.
public struct FusedConvolutionInputGradient: ShapeBoundOperation {
  public struct Activation: Hashable, Sendable {
    public var epsilon: Float
    public var negativeSlope: Float

    public init(epsilon: Float, negativeSlope: Float) {
      self.epsilon = epsilon
      self.negativeSlope = negativeSlope
    }
  }

  public var geometry: ConvolutionGeometry
  /// The extents of the convolution's input; `nil` for a transposed convolution, whose input gradient is a convolution.
  public var extents: [Int]?
  public var hasAddend: Bool
  public var activation: Activation?

  public init(_ geometry: ConvolutionGeometry, extents: [Int]?, hasAddend: Bool, activation: Activation?) {
    check(geometry.groups == 1, "\(Self.name): it takes one group, found \(geometry.groups)")
    self.geometry = geometry
    self.extents = extents
    self.hasAddend = hasAddend
    self.activation = activation
  }

  /// The gradient alone.
  private var composed: any PlannedConvolution {
    if let extents { return ConvolutionInputGradient(geometry, extents: extents) }
    return Convolution(geometry)
  }

  /// Where the inputs of the activation begin.
  private var activationIndex: Int { hasAddend ? 3 : 2 }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    let result = composed.shapes(of: Array(inputs[..<2]))[0]
    check(
      inputs.count == activationIndex + (activation == nil ? 0 : 4),
      "\(Self.name): it does not take \(inputs.count) inputs")
    if hasAddend { checkSameShape(inputs[2], result) }
    guard activation != nil else { return [result] }
    let (x, statistics) = (inputs[activationIndex], inputs[activationIndex + 3])
    checkSameShape(x, result)
    checkNormalization(Self.name, x, inputs[activationIndex + 1], inputs[activationIndex + 2])
    check(
      statistics == NormalizationStatistics.shape(of: x), "\(Self.name): statistics \(statistics) do not fit \(x)")
    return [result, [2, result[0], result.channels]]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    var result = composed.ranges(of: Array(inputs[..<2]))[0]
    if hasAddend { result = result.common(with: inputs[2]) }
    guard activation != nil else { return [result] }
    result = result.common(with: inputs[activationIndex])
    return [result, [DimensionRange(2), result[0], result.dimensions.last ?? .unknown]]
  }

  public func elementTypes(of inputs: [ElementType]) -> [ElementType] {
    activation == nil ? [.float32] : [.float32, .float32]
  }

  public func mayOverwrite(input: Int, with output: Int) -> Bool { hasAddend && input == 2 && output == 0 }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let plan = plan(of: inputs.map(\.shape), in: context)
    let addend = hasAddend ? inputs[2].floats : nil
    guard let activation else {
      var gradient = ck_convolution_gradient()
      gradient.addend = addend
      context.runInputGradient(plan, of: inputs[0], weight: inputs[1], gradient, into: outputs[0], sums: nil)
      return
    }
    let rest = inputs[activationIndex...].map(\.floats)
    let layout = NormalizationLayout(outputs[0].shape)
    withNormalizationTerms(
      NormalizationStatistics(rest[3], count: layout.instances * layout.channels), weight: rest[1], bias: rest[2],
      epsilon: activation.epsilon, layout, in: context
    ) { terms in
      let gradient = ck_convolution_gradient(
        addend: addend, x: rest[0], terms: terms(0), slope: activation.negativeSlope)
      context.runInputGradient(plan, of: inputs[0], weight: inputs[1], gradient, into: outputs[0], sums: outputs[1])
    }
  }

  public var gradientNeeds: GradientNeeds {
    guard activation != nil else { return GradientNeeds(inputs: [0, 1]) }
    return GradientNeeds(inputs: Set([0, 1]).union(activationIndex..<activationIndex + 4), outputs: [0])
  }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let (gradient, weight) = (context.input(0), context.input(1))
    let shape = context.outputShapes[0]
    var forResult = context.outputGradients[0] ?? Tensor(zeros: shape)
    var forInput: Tensor?
    if let activation {
      let rest = (0..<4).map { context.input(activationIndex + $0) }
      let x = NormalizedInput(rest[0], statistics: rest[3], epsilon: activation.epsilon)
      if let forSums = context.outputGradients[1] {
        func term(_ index: Int) -> Tensor {
          forSums.sliced(axis: 0, index..<index + 1).reshaped(to: x.inverseDeviation.shape)
        }
        forInput = x.gradient(context.output(0) * term(1))
        forResult = forResult + term(0) + x.normalized * term(1)
      }
      forResult = LeakyRectifierGradient(negativeSlope: activation.negativeSlope)(
        x.normalized * rest[1] + rest[2], forResult)
    }
    let kernel = Array(weight.shape.extents[2...])
    var result: [Tensor?]
    if extents != nil {
      result = [
        context.isNeeded[0] ? Convolution(geometry)(forResult, weight) : nil,
        context.isNeeded[1] ? ConvolutionWeightGradient(geometry, kernel: kernel)(forResult, gradient) : nil,
      ]
    } else {
      result = [
        context.isNeeded[0]
          ? ConvolutionInputGradient(geometry, extents: gradient.shape.spatial)(forResult, weight) : nil,
        context.isNeeded[1] ? ConvolutionWeightGradient(geometry, kernel: kernel)(gradient, forResult) : nil,
      ]
    }
    if hasAddend { result.append(forResult) }
    if activation != nil { result += [forInput, nil, nil, nil] }
    return result
  }
}

extension FusedConvolutionInputGradient: PlannedConvolution {
  package func plan(of inputs: [Shape], in context: EvaluationContext) -> ck_convolution_plan {
    composed.plan(of: Array(inputs[..<2]), in: context)
  }

  /// Also enough for the normalisation's terms.
  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int {
    (activation == nil ? 0 : NormalizationLayout(inputs[activationIndex]).termsByteCount)
      + plan(of: inputs, in: context).scratchByteCount(threads: context.pool.threadCount)
  }
}
