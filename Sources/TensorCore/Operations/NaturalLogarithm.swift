import CKernels

/// The natural logarithm of each element.
public struct NaturalLogarithm: PointwiseOperation {
  static let kernel: KeyPath<ck_pointwise_kernels, ck_unary_kernel> & Sendable = \.logarithm

  public init() {}

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [context.outputGradient / context.input(0)]
  }
}
