/// `InstanceNormalizationGradient` that leaves out or adds what its neighbours can share in.
///
/// Inputs: the gradient for the result, x `[N, ..., C]`, weight and bias `[C]`, and the statistics of x. If it takes
/// sums, the gradient is the one before the activation, and a sixth input `[2, N, C]` has its sums over each instance and
/// those of its products with the normalised x, as `FusedConvolutionInputGradient` makes them: one pass over memory
/// instead of two.
/// Outputs: the gradients for x, weight and bias, and, if it gives the sum, the sum `[C]` of the gradient for x over
/// everything else: the gradient of a bias that was added to x.
public struct FusedInstanceNormalizationGradient: Operation {
  public var composed: InstanceNormalizationGradient
  public var takesSums: Bool
  public var givesSum: Bool

  public init(_ composed: InstanceNormalizationGradient, takesSums: Bool, givesSum: Bool) {
    self.composed = composed
    self.takesSums = takesSums
    self.givesSum = givesSum
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    let shapes = composed.shapes(of: inputs)
    if takesSums {
      let expected: Shape = [2, shapes[0][0], shapes[0].channels]
      check(inputs.count == 6 && inputs[5] == expected, "\(Self.name): the sums do not have the shape \(expected)")
    }
    return shapes + (givesSum ? [inputs[2]] : [])
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    composed.ranges(of: inputs) + (givesSum ? [inputs[2]] : [])
  }

  public func elementTypes(of inputs: [ElementType]) -> [ElementType] {
    [ElementType](repeating: .float32, count: givesSum ? 4 : 3)
  }

  public func mayOverwrite(input: Int, with output: Int) -> Bool { composed.mayOverwrite(input: input, with: output) }

  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int {
    composed.scratchByteCount(of: inputs, in: context)
  }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    composed.evaluate(
      inputs, into: outputs, sums: takesSums ? inputs[5] : nil, channelSums: givesSum ? outputs[3] : nil, in: context)
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: takesSums ? [0, 1, 2, 3, 4, 5] : [0, 1, 2, 3, 4]) }

  /// With S and T the sums, the gradient for x is weight r q, where q = g - (S + h T) / count.
  public func gradients(_ context: GradientContext) -> [Tensor?] {
    var u = context.outputGradients[0]
    if givesSum, let forSum = context.outputGradients[3] { u = (u ?? Tensor(zeros: context.inputShapes[1])) + forSum }
    if !takesSums { return composed.gradients(context, u) }
    let (g, weight, sums) = (context.input(0), context.input(2), context.input(5))
    let x = NormalizedInput(context.input(1), statistics: context.input(4), epsilon: composed.epsilon)
    let (h, r) = (x.normalized, x.inverseDeviation)
    let count = Float(g.shape.spatial.reduce(1, *))
    func average(_ index: Int) -> Tensor {
      sums.sliced(axis: 0, index..<index + 1).reshaped(to: r.shape) * (1 / count)
    }
    let given = u ?? Tensor(zeros: g.shape)
    let v = context.outputGradients[1] ?? Tensor(zeros: weight.shape)
    let t = context.outputGradients[2] ?? Tensor(zeros: weight.shape)
    let q = g - average(0) - h * average(1)
    let forGradient = given * r * weight
    let perInstance: Shape = [1, sums.shape[1], sums.shape[2]]
    let forSums = [t - x.average(forGradient), v - x.average(forGradient * h)].map { $0.reshaped(to: perInstance) }
    return [
      forGradient,
      x.gradient(-(forGradient * average(1))) - h * x.average(given * q) * r * r * weight,
      (given * q * r).summed(to: weight.shape), nil, nil,
      Tensor.concatenated(forSums, axis: 0),
    ]
  }
}
