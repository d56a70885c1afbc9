import CKernels

/// The elementwise larger of two tensors, broadcasting; NaN where one is NaN. Of equals, the second gets the gradient.
public struct Maximum: BroadcastingOperation {
  var kernel: KeyPath<ck_pointwise_kernels, ck_binary_kernel> & Sendable { \.maximum }

  public init() {}

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0, 1]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let gradient = context.outputGradient
    let isFirst = context.input(0).isGreater(than: context.input(1))
    return [
      context.isNeeded[0] ? (gradient * isFirst).summed(to: context.inputShapes[0]) : nil,
      context.isNeeded[1] ? (gradient * (1 - isFirst)).summed(to: context.inputShapes[1]) : nil,
    ]
  }
}
