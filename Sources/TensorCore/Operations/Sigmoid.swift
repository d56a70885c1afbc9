import CKernels

/// The logistic function 1 / (1 + e^-x) of each element.
public struct Sigmoid: PointwiseOperation {
  static let kernel: KeyPath<ck_pointwise_kernels, ck_unary_kernel> & Sendable = \.sigmoid

  public init() {}

  public var gradientNeeds: GradientNeeds { GradientNeeds(outputs: [0]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [context.outputGradient * (context.output(0) - context.output(0) * context.output(0))]
  }
}
