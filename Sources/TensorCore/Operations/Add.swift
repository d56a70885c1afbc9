import CKernels

/// The elementwise sum of two tensors, broadcasting.
public struct Add: BroadcastingOperation {
  var kernel: KeyPath<ck_pointwise_kernels, ck_binary_kernel> & Sendable { \.add }

  public init() {}

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let gradient = context.outputGradient
    return (0..<2).map { context.isNeeded[$0] ? gradient.summed(to: context.inputShapes[$0]) : nil }
  }
}
