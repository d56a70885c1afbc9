import TensorCore

/// The weighted sum of a loss over the heads of a network, finest first: nnU-Net's `DeepSupervisionWrapper`.
public struct DeepSupervisionLoss: Sendable {
  public var loss: any SegmentationLoss
  /// One per head; a head with weight 0 is not looked at, so what only leads to it gets no gradient.
  public var weights: [Double]

  public init(loss: any SegmentationLoss, weights: [Double]) {
    check(weights.contains { $0 != 0 }, "DeepSupervisionLoss: at least one weight must not be 0, got \(weights)")
    self.loss = loss
    self.weights = weights
  }

  /// nnU-Net's weights: 1, 1/2, 1/4 ... with the coarsest set to 0, divided by their sum.
  ///
  /// With a single head (a network of two stages) that would be 0/0, which makes nnU-Net's loss NaN; here the only head
  /// has weight 1.
  public static func standardWeights(headCount: Int) -> [Double] {
    check(headCount > 0, "DeepSupervisionLoss: there are no heads")
    guard headCount > 1 else { return [1] }
    var weights = (0..<headCount).map { 1 / Double(1 << $0) }
    weights[headCount - 1] = 0
    let sum = weights.reduce(0, +)
    return weights.map { $0 / sum }
  }

  /// - Parameters:
  ///   - heads: logits, finest first.
  ///   - targets: one for each head, at its resolution.
  public func callAsFunction(_ heads: [Tensor], _ targets: [Tensor]) -> Tensor {
    check(
      heads.count == weights.count && targets.count == weights.count,
      "DeepSupervisionLoss: \(weights.count) weights need as many heads and targets, got \(heads.count), \(targets.count)"
    )
    var total: Tensor?
    for (index, weight) in weights.enumerated() where weight != 0 {
      let value = loss(heads[index], targets[index])
      let term = weight == 1 ? value : value * Float(weight)
      total = total.map { $0 + term } ?? term
    }
    return total ?? Tensor(0)
  }
}
