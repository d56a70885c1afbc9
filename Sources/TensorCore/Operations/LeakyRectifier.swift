import CKernels

/// x where x > 0, `negativeSlope * x` elsewhere; a slope of 0 is the plain rectifier (ReLU).
public struct LeakyRectifier: PointwiseOperation {
  public var negativeSlope: Float

  static let kernel: KeyPath<ck_pointwise_kernels, ck_unary_kernel> & Sendable = \.leaky_rectifier
  var kernelParameters: (Float, Float) { (negativeSlope, 0) }

  public init(negativeSlope: Float) {
    check(negativeSlope >= 0, "LeakyRectifier: the negative slope is \(negativeSlope); it must not be below 0")
    self.negativeSlope = negativeSlope
  }

  /// The result has the sign of the input, and often is needed anyway.
  public var gradientNeeds: GradientNeeds { GradientNeeds(outputs: [0]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [LeakyRectifierGradient(negativeSlope: negativeSlope)(context.output(0), context.outputGradient)]
  }
}
