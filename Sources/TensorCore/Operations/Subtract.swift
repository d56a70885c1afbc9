import CKernels

/// The elementwise difference of two tensors, broadcasting.
public struct Subtract: BroadcastingOperation {
  var kernel: KeyPath<ck_pointwise_kernels, ck_binary_kernel> & Sendable { \.subtract }

  public init() {}

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let gradient = context.outputGradient
    return [
      context.isNeeded[0] ? gradient.summed(to: context.inputShapes[0]) : nil,
      context.isNeeded[1] ? (-gradient.summed(to: context.inputShapes[1])) : nil,
    ]
  }
}
