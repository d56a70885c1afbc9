import CKernels

/// `scale * x + offset` with two numbers.
public struct ScaleOffset: PointwiseOperation {
  public var scale: Float
  public var offset: Float

  static let kernel: KeyPath<ck_pointwise_kernels, ck_unary_kernel> & Sendable = \.scale_offset
  var kernelParameters: (Float, Float) { (scale, offset) }

  public init(scale: Float, offset: Float) {
    self.scale = scale
    self.offset = offset
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [scale == 1 ? context.outputGradient : context.outputGradient * scale]
  }
}
