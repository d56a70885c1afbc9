import CKernels

/// A tensor repeated to a larger shape under the broadcasting rule.
public struct Broadcast: ShapeBoundOperation {
  public var shape: Shape

  public init(to shape: Shape) { self.shape = shape }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    check(inputs[0].broadcast(with: shape) == shape, "Broadcast: \(inputs[0]) does not repeat to \(shape)")
    return [shape]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [ShapeRange(shape)] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    // x * 1 is x to the bit, NaN included.
    withUnsafePointer(to: Float(1)) { one in
      let ones = TensorView(shape: [], elementType: .float32, bytes: one)
      evaluateBroadcast(\.multiply, [inputs[0], ones], into: outputs[0], in: context)
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [context.outputGradient.summed(to: context.inputShapes[0])]
  }
}
