import CKernels

extension Tensor {
  public static func + (a: Tensor, b: Tensor) -> Tensor { Add()(a, b) }
  public static func - (a: Tensor, b: Tensor) -> Tensor { Subtract()(a, b) }
  public static func * (a: Tensor, b: Tensor) -> Tensor { Multiply()(a, b) }
  public static func / (a: Tensor, b: Tensor) -> Tensor { Divide()(a, b) }

  public static func + (a: Tensor, b: Float) -> Tensor { ScaleOffset(scale: 1, offset: b)(a) }
  public static func + (a: Float, b: Tensor) -> Tensor { ScaleOffset(scale: 1, offset: a)(b) }
  public static func - (a: Tensor, b: Float) -> Tensor { ScaleOffset(scale: 1, offset: -b)(a) }
  public static func - (a: Float, b: Tensor) -> Tensor { ScaleOffset(scale: -1, offset: a)(b) }
  public static func * (a: Tensor, b: Float) -> Tensor { ScaleOffset(scale: b, offset: 0)(a) }
  public static func * (a: Float, b: Tensor) -> Tensor { ScaleOffset(scale: a, offset: 0)(b) }
  /// Divides each element; the number is divided out as its reciprocal.
  public static func / (a: Tensor, b: Float) -> Tensor { ScaleOffset(scale: 1 / b, offset: 0)(a) }
  public static func / (a: Float, b: Tensor) -> Tensor { a == 1 ? Reciprocal()(b) : Reciprocal()(b) * a }
  public static prefix func - (a: Tensor) -> Tensor { ScaleOffset(scale: -1, offset: 0)(a) }

  public static func += (a: inout Tensor, b: Tensor) { a = a + b }
  public static func -= (a: inout Tensor, b: Tensor) { a = a - b }
  public static func *= (a: inout Tensor, b: Tensor) { a = a * b }
  public static func *= (a: inout Tensor, b: Float) { a = a * b }

  /// The elementwise sum, broadcasting.
  public func adding(_ other: Tensor) -> Tensor { Add()(self, other) }

  /// `scale * x + offset`.
  public func scaled(by scale: Float, offset: Float = 0) -> Tensor { ScaleOffset(scale: scale, offset: offset)(self) }

  /// `scale * self + otherScale * other` in one pass.
  public func scaled(by scale: Float, adding other: Tensor, scaledBy otherScale: Float) -> Tensor {
    ScaledAdd(scale, otherScale)(self, other)
  }

  /// Adds elementwise, in place where nobody else holds this tensor's memory and nobody follows it.
  package mutating func accumulate(_ other: Tensor) {
    check(shape == other.shape, "Tensor.accumulate: shapes \(shape) and \(other.shape) differ")
    replace(with: Add(), other)
  }

  /// Becomes `scale * self + otherScale * other`, in place where nobody else holds this tensor's memory and nobody
  /// follows it: an optimizer's update without new memory.
  public mutating func scale(by scale: Float, adding other: Tensor, scaledBy otherScale: Float) {
    replace(with: ScaledAdd(scale, otherScale), other)
  }

  /// Becomes `operation(self, other)`, for elementwise operations whose kernels may write over an input.
  private mutating func replace(with operation: some Operation, _ other: Tensor) {
    guard recording == nil, other.recording == nil, shape == other.shape, elementType == .float32,
      mayWriteInPlace()
    else {
      self = operation(self, other)
      return
    }
    let own = MutableTensorView(self)
    operation.evaluate([TensorView(self), TensorView(other)], into: [own], in: .standard)
    withExtendedLifetime((self, other)) {}
  }

  /// e to the power of each element.
  public func exponential() -> Tensor { Exponential()(self) }
  /// The natural logarithm of each element.
  public func logarithm() -> Tensor { NaturalLogarithm()(self) }
  public func squareRoot() -> Tensor { SquareRoot()(self) }
  /// One over each element.
  public func reciprocal() -> Tensor { Reciprocal()(self) }
  public func raised(to exponent: Float) -> Tensor { Power(exponent)(self) }
  public func absoluteValue() -> Tensor { AbsoluteValue()(self) }
  public func clamped(to range: ClosedRange<Float>) -> Tensor {
    Clamp(lower: range.lowerBound, upper: range.upperBound)(self)
  }
  /// Each element, or `lower` if that is larger.
  public func clamped(from lower: Float) -> Tensor { Clamp(lower: lower, upper: .infinity)(self) }
  /// The elementwise larger of two tensors, broadcasting.
  public func maximum(with other: Tensor) -> Tensor { Maximum()(self, other) }

  /// 1 where this tensor is greater, else 0; broadcasting, without gradient.
  public func isGreater(than other: Tensor) -> Tensor { Compare(.greater)(self, other) }
  public func isGreaterOrEqual(to other: Tensor) -> Tensor { Compare(.greaterOrEqual)(self, other) }
  public func isEqual(to other: Tensor) -> Tensor { Compare(.equal)(self, other) }
  /// -1, 0 or 1 for each element, without gradient.
  public func sign() -> Tensor {
    let zero = Tensor(0)
    return isGreater(than: zero) - zero.isGreater(than: self)
  }
  /// These elements where `mask` is not 0, those of `other` elsewhere; all of one shape.
  public func replacing(with other: Tensor, where mask: Tensor) -> Tensor { Select()(mask, other, self) }

  public func converted(to elementType: ElementType) -> Tensor {
    elementType == self.elementType ? self : Convert(to: elementType)(self)
  }

  /// The matrix product `[..., M, K]` by `[..., K, N]` or `[K, N]`, each transposed first if asked.
  public func matrixProduct(
    _ other: Tensor, transposingSelf: Bool = false, transposingOther: Bool = false
  ) -> Tensor {
    MatrixProduct(transposingFirst: transposingSelf, transposingSecond: transposingOther)(self, other)
  }
}
