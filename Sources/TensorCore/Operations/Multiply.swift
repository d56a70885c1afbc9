import CKernels

/// The elementwise product of two tensors, broadcasting.
public struct Multiply: BroadcastingOperation {
  var kernel: KeyPath<ck_pointwise_kernels, ck_binary_kernel> & Sendable { \.multiply }

  public init() {}

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0, 1]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let gradient = context.outputGradient
    return (0..<2).map {
      context.isNeeded[$0] ? (gradient * context.input(1 - $0)).summed(to: context.inputShapes[$0]) : nil
    }
  }
}
