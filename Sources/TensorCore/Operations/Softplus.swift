import CKernels

/// ln(1 + e^x) of each element, without overflow.
public struct Softplus: PointwiseOperation {
  static let kernel: KeyPath<ck_pointwise_kernels, ck_unary_kernel> & Sendable = \.softplus

  public init() {}

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [context.outputGradient * context.input(0).sigmoid()]
  }
}
