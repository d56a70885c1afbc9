import TensorCore

/// By what to multiply gradients so that their global norm stays within a limit, as an operation.
///
/// Inputs: the loss, a scalar, and all gradients. Outputs, scalars: the factor and the norm. The factor is NaN where the
/// loss or the norm is not finite: then no step may be taken.
public struct GradientClipping: Operation {
  public var maximumNorm: Double

  public init(maximumNorm: Double) { self.maximumNorm = maximumNorm }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    check(inputs[0] == [], "GradientClipping: the loss has shape \(inputs[0])")
    return [[], []]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [[], []] }

  public func elementTypes(of inputs: [ElementType]) -> [ElementType] { [.float32, .float32] }

  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int {
    sumOfSquaresScratchByteCount(of: Array(inputs.dropFirst()))
  }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let norm = globalNorm(of: Array(inputs.dropFirst()), in: context)
    let isFinite = norm.isFinite && inputs[0].floats[0].isFinite
    outputs[0].floats[0] = isFinite ? Float(clippingFactor(norm: norm, maximum: maximumNorm)) : .nan
    outputs[1].floats[0] = Float(norm)
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  /// The factor counts as constant, as in `torch.nn.utils.clip_grad_norm_`.
  public func gradients(_ context: GradientContext) -> [Tensor?] { context.isNeeded.map { _ in nil } }
}
