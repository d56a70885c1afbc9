extension Tensor {
  /// The same elements under another shape, sharing memory.
  public func reshaped(to shape: Shape) -> Tensor { self.shape == shape ? self : Reshape(to: shape)(self) }

  /// Repeated to a larger shape under the broadcasting rule.
  public func broadcast(to shape: Shape) -> Tensor { self.shape == shape ? self : Broadcast(to: shape)(self) }

  /// Axis `i` of the result is axis `permutation[i]` of this tensor.
  public func transposed(by permutation: [Int]) -> Tensor {
    check(permutation.count == rank, "Transpose: \(permutation) does not permute shape \(shape)")
    let moving = permutation.filter { shape[$0] != 1 }
    // Nothing moves in memory when only extents of 1 change their place.
    if moving == moving.sorted() { return reshaped(to: Shape(permutation.map { shape[$0] })) }
    return Transpose(permutation)(self)
  }

  /// `[N, C, ...]` to `[N, ..., C]`.
  public func channelsLast() -> Tensor { transposed(by: [0] + Array(2..<rank) + [1]) }

  /// `[N, ..., C]` to `[N, C, ...]`.
  public func channelsFirst() -> Tensor { transposed(by: [0, rank - 1] + Array(1..<rank - 1)) }

  /// A border of `value`: per axis, how many elements come before and after.
  public func padded(lower: [Int], upper: [Int], with value: Float = 0) -> Tensor {
    (lower + upper).allSatisfy { $0 == 0 } && lower.count == rank
      ? self : Pad(lower: lower, upper: upper, value: value)(self)
  }

  /// The box `lower ..< upper`.
  public func sliced(lower: [Int], upper: [Int]) -> Tensor { Slice(lower: lower, upper: upper)(self) }

  /// The part of one axis.
  public func sliced(axis: Int, _ range: Range<Int>) -> Tensor {
    check(axis >= 0 && axis < rank, "Slice: no axis \(axis) in shape \(shape)")
    var (lower, upper) = (shape.extents.map { _ in 0 }, shape.extents)
    (lower[axis], upper[axis]) = (range.lowerBound, range.upperBound)
    return sliced(lower: lower, upper: upper)
  }

  /// Tensors one after another along an axis.
  public static func concatenated(_ tensors: [Tensor], axis: Int) -> Tensor {
    tensors.count == 1 ? tensors[0] : Concatenate(axis: axis).apply(tensors)[0]
  }
}
