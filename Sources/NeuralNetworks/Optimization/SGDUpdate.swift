import CKernels
import TensorCore

/// One parameter's step of `SGD` as an operation.
///
/// Inputs: the parameter, its momentum and its gradient, all of one shape; the factor for the gradient (clipping) and the
/// learning rate, scalars. Outputs: the parameter and the momentum after the step. A factor that is NaN means that the
/// step must not be taken: both stay what they are.
public struct SGDUpdate: Operation {
  public var optimizer: SGD

  public init(_ optimizer: SGD) { self.optimizer = optimizer }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    check(
      inputs[0] == inputs[1] && inputs[1] == inputs[2] && inputs[3] == [] && inputs[4] == [],
      "SGDUpdate: parameter \(inputs[0]), momentum \(inputs[1]), gradient \(inputs[2]), numbers \(inputs[3...4])")
    return [inputs[0], inputs[0]]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [inputs[0], inputs[0]] }

  public func elementTypes(of inputs: [ElementType]) -> [ElementType] { [.float32, .float32] }

  public func mayOverwrite(input: Int, with output: Int) -> Bool { input == output || input == 2 }

  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int { 0 }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    run(
      outputs[0], outputs[1], gradient: inputs[2].floats, factor: inputs[3].floats[0], rate: inputs[4].floats[0],
      parameter: inputs[0].floats, momentum: inputs[1].floats, in: context)
  }

  /// Fills `newParameter` and `newMomentum`, which may be the memory of the old ones.
  func run(
    _ newParameter: MutableTensorView, _ newMomentum: MutableTensorView, gradient g: UnsafePointer<Float>,
    factor: Float, rate: Float, parameter p: UnsafePointer<Float>, momentum m: UnsafePointer<Float>,
    in context: EvaluationContext
  ) {
    let kernels = ck_pointwise_kernels_for(context.instructionSet).pointee
    let step = ck_momentum_step(
      gradient_factor: factor, weight_decay: optimizer.weightDecay, momentum: optimizer.momentum, rate: rate,
      uses_nesterov: optimizer.usesNesterov ? 1 : 0)
    let (newP, newM) = (newParameter.floats, newMomentum.floats)
    context.pool.run(count: newParameter.count, grain: 1 << 15) { range in
      let first = range.lowerBound
      if factor.isNaN {
        for i in range { (newP[i], newM[i]) = (p[i], m[i]) }
      } else {
        kernels.momentum_step(newP + first, newM + first, p + first, m + first, g + first, range.count, step)
      }
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  /// A step is taken outside of what is differentiated.
  public func gradients(_ context: GradientContext) -> [Tensor?] { [nil, nil, nil, nil, nil] }
}
