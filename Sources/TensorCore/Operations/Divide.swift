import CKernels

/// The elementwise quotient of two tensors, broadcasting.
public struct Divide: BroadcastingOperation {
  var kernel: KeyPath<ck_pointwise_kernels, ck_binary_kernel> & Sendable { \.divide }

  public init() {}

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [1], outputs: [0]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let first = context.outputGradient / context.input(1)
    return [
      context.isNeeded[0] ? first.summed(to: context.inputShapes[0]) : nil,
      context.isNeeded[1] ? (-(first * context.output(0))).summed(to: context.inputShapes[1]) : nil,
    ]
  }
}
