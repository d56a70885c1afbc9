import CKernels

/// Each element held between two bounds. The gradient passes where the element lies within, bounds included.
public struct Clamp: PointwiseOperation {
  public var lower: Float
  public var upper: Float

  static let kernel: KeyPath<ck_pointwise_kernels, ck_unary_kernel> & Sendable = \.clamp
  var kernelParameters: (Float, Float) { (lower, upper) }

  public init(lower: Float, upper: Float) {
    check(lower <= upper, "Clamp: the lower bound \(lower) is above the upper bound \(upper)")
    self.lower = lower
    self.upper = upper
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let x = context.input(0)
    let isInside = x.isGreaterOrEqual(to: Tensor(lower)) * Tensor(upper).isGreaterOrEqual(to: x)
    return [context.outputGradient * isInside]
  }
}
