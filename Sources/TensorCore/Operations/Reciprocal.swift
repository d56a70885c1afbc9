import CKernels

/// One over each element.
public struct Reciprocal: PointwiseOperation {
  static let kernel: KeyPath<ck_pointwise_kernels, ck_unary_kernel> & Sendable = \.reciprocal

  public init() {}

  public var gradientNeeds: GradientNeeds { GradientNeeds(outputs: [0]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [-(context.outputGradient * context.output(0) * context.output(0))]
  }
}
