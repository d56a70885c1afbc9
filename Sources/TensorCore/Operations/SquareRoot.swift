import CKernels

/// The square root of each element.
public struct SquareRoot: PointwiseOperation {
  static let kernel: KeyPath<ck_pointwise_kernels, ck_unary_kernel> & Sendable = \.square_root

  public init() {}

  public var gradientNeeds: GradientNeeds { GradientNeeds(outputs: [0]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [context.outputGradient / context.output(0) * 0.5]
  }
}
