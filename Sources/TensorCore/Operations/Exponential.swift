import CKernels

/// e to the power of each element, within 2 ulp.
public struct Exponential: PointwiseOperation {
  static let kernel: KeyPath<ck_pointwise_kernels, ck_unary_kernel> & Sendable = \.exponential

  public init() {}

  public var gradientNeeds: GradientNeeds { GradientNeeds(outputs: [0]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [context.outputGradient * context.output(0)]
  }
}
