extension Tensor {
  /// The sum of all elements, a scalar.
  public func sum() -> Tensor { sum(axes: Array(0..<rank)) }
  /// The mean of all elements, a scalar.
  public func mean() -> Tensor { mean(axes: Array(0..<rank)) }
  /// The largest of all elements, a scalar.
  public func maximum() -> Tensor { maximum(axes: Array(0..<rank)) }

  /// The sum over axes; negative axes count from the last. With `keepingAxes` they stay as extents of 1.
  public func sum(axes: [Int], keepingAxes: Bool = false) -> Tensor {
    Sum(over: resolved(axes), keepingAxes: keepingAxes)(self)
  }
  public func mean(axes: [Int], keepingAxes: Bool = false) -> Tensor {
    Mean(over: resolved(axes), keepingAxes: keepingAxes)(self)
  }
  public func maximum(axes: [Int], keepingAxes: Bool = false) -> Tensor {
    LargestElement(over: resolved(axes), keepingAxes: keepingAxes)(self)
  }

  private func resolved(_ axes: [Int]) -> [Int] { axes.map { $0 < 0 ? $0 + rank : $0 } }

  /// The sum of all squares, a scalar.
  public func squaredNorm() -> Tensor { SumOfSquares()(self) }

  /// The mean of the `count` largest elements, a scalar; of equals, those that come first count.
  public func meanOfLargest(count: Int) -> Tensor {
    check(count > 0, "Tensor.meanOfLargest: a mean of \(count) elements")
    let mask = LargestMask(count: count)(self)
    return (Select()(mask, self, Tensor(zeros: shape))).sum() / Float(count)
  }

  /// The index of the largest channel (last axis) as int16 `[...]`; of equals the first.
  public func largestChannel() -> Tensor { LargestChannel()(self) }
}
