import CKernels

/// The absolute value of each element; its gradient at 0 is 0.
public struct AbsoluteValue: PointwiseOperation {
  static let kernel: KeyPath<ck_pointwise_kernels, ck_unary_kernel> & Sendable = \.absolute_value

  public init() {}

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [context.outputGradient * context.input(0).sign()]
  }
}
