import TensorCore

/// A scalar from logits and a target.
public protocol SegmentationLoss: Sendable {
  /// - Parameters:
  ///   - logits: `[N, spatial, K]`.
  ///   - target: int16 labels `[N, spatial]`, or uint8 or float32 regions `[N, spatial, K]` (`K + 1` with an ignore
  ///     channel, the last one).
  /// - Returns: a scalar, shape `[]`.
  func callAsFunction(_ logits: Tensor, _ target: Tensor) -> Tensor
}

/// Soft Dice as nnU-Net's `MemoryEfficientSoftDiceLoss` (training/loss/dice.py): the negative mean over classes, and
/// over samples without batch Dice, of `(2 sum(p y) + s) / (sum(p) + sum(y) + s)`.
///
/// Gives the same numbers as `SoftDiceLoss`, whose denominator is the same sum written as `2 tp + fp + fn`.
public struct SoftDiceLoss: SegmentationLoss, Codable, Hashable {
  /// Whether sums run over the whole batch rather than over each sample.
  public var isBatchwise: Bool
  /// Whether the first class counts. Off for labels (it is the background), on for regions.
  public var includesBackground: Bool
  /// `s`, in numerator and denominator; the denominator is at least 1e-8.
  public var smoothing: Float
  public var target: TargetKind

  public init(isBatchwise: Bool, includesBackground: Bool, smoothing: Float = 1e-5, target: TargetKind) {
    self.isBatchwise = isBatchwise
    self.includesBackground = includesBackground
    self.smoothing = smoothing
    self.target = target
  }

  public func callAsFunction(_ logits: Tensor, _ target: Tensor) -> Tensor {
    let probabilities =
      switch self.target {
      case .labels: logits.softmax()
      case .regions: logits.sigmoid()
      }
    return ofProbabilities(probabilities, target)
  }

  func ofProbabilities(_ probabilities: Tensor, _ target: Tensor) -> Tensor {
    var sums = ClassSums(target: self.target).apply([probabilities, target])
    if isBatchwise { sums = sums.map { $0.sum(axes: [0], keepingAxes: true) } }
    if !includesBackground { sums = sums.map { $0.sliced(axis: 1, 1..<$0.shape[1]) } }
    let denominator = (sums[1] + sums[2] + smoothing).clamped(from: 1e-8)
    return -(sums[0].scaled(by: 2, offset: smoothing) / denominator).mean()
  }
}

/// Cross-entropy of labels, averaged over the voxels that count: nnU-Net's `RobustCrossEntropyLoss`.
///
/// Where nothing counts it is 0 (PyTorch's own gives 0/0; nnU-Net leaves the term out then).
public struct CrossEntropyLoss: SegmentationLoss, Codable, Hashable {
  public var ignoredLabel: Int16?
  public var labelSmoothing: Float

  public init(ignoredLabel: Int16? = nil, labelSmoothing: Float = 0) {
    self.ignoredLabel = ignoredLabel
    self.labelSmoothing = labelSmoothing
  }

  public func callAsFunction(_ logits: Tensor, _ target: Tensor) -> Tensor {
    let sums = ClassSums(target: .labels(ignoring: ignoredLabel)).apply([logits.logSoftmax(), target])
    var total = sums[0].sum() * (labelSmoothing - 1)
    if labelSmoothing != 0 { total -= sums[1].sum() * (labelSmoothing / Float(logits.shape.channels)) }
    return total / sums[2].sum().clamped(from: 1)
  }
}

/// The mean cross-entropy of the worst share of all voxels: nnU-Net's `TopKLoss` (training/loss/robust_ce_loss.py).
///
/// Voxels with the ignore label count as 0, and in the number of voxels, as there.
public struct TopKCrossEntropyLoss: SegmentationLoss, Codable, Hashable {
  /// Per cent of the voxels.
  public var percentage: Double
  public var ignoredLabel: Int16?
  public var labelSmoothing: Float

  public init(percentage: Double = 10, ignoredLabel: Int16? = nil, labelSmoothing: Float = 0) {
    self.percentage = percentage
    self.ignoredLabel = ignoredLabel
    self.labelSmoothing = labelSmoothing
  }

  public func callAsFunction(_ logits: Tensor, _ target: Tensor) -> Tensor {
    let map = CrossEntropyMap(target: .labels(ignoring: ignoredLabel), labelSmoothing: labelSmoothing)(
      logits.logSoftmax(), target)
    let count = Int(Double(map.count) * percentage / 100)
    return map.meanOfLargest(count: max(count, 1))
  }
}

/// Binary cross-entropy of regions, averaged over everything: PyTorch's `BCEWithLogitsLoss`.
///
/// With an ignore channel nnU-Net divides by the number of voxels that count though it sums over all regions; so here.
public struct BinaryCrossEntropyLoss: SegmentationLoss, Codable, Hashable {
  public var hasIgnoreChannel: Bool

  public init(hasIgnoreChannel: Bool = false) { self.hasIgnoreChannel = hasIgnoreChannel }

  public func callAsFunction(_ logits: Tensor, _ target: Tensor) -> Tensor {
    let sums = BinaryCrossEntropySum(target: .regions(hasIgnoreChannel: hasIgnoreChannel)).apply([logits, target])
    if hasIgnoreChannel { return sums[0] / sums[1].clamped(from: 1e-8) }
    return sums[0] / Float(max(logits.count, 1))
  }
}

/// A weighted sum of soft Dice and one of the cross-entropies: nnU-Net's `DC_and_CE_loss`, `DC_and_BCE_loss` and
/// `DC_and_topk_loss` (training/loss/compound_losses.py).
public struct CompoundLoss: SegmentationLoss {
  public var dice: SoftDiceLoss
  public var crossEntropy: any SegmentationLoss
  public var diceWeight: Float
  public var crossEntropyWeight: Float

  public init(
    dice: SoftDiceLoss, crossEntropy: any SegmentationLoss, diceWeight: Float = 1, crossEntropyWeight: Float = 1
  ) {
    self.dice = dice
    self.crossEntropy = crossEntropy
    self.diceWeight = diceWeight
    self.crossEntropyWeight = crossEntropyWeight
  }

  /// `DC_and_CE_loss`: the default for labels.
  public static func diceAndCrossEntropy(
    batchDice: Bool, ignoredLabel: Int16? = nil, smoothing: Float = 1e-5
  ) -> CompoundLoss {
    CompoundLoss(
      dice: .forLabels(batchDice, ignoredLabel, smoothing), crossEntropy: CrossEntropyLoss(ignoredLabel: ignoredLabel))
  }

  /// `DC_and_topk_loss`.
  public static func diceAndTopK(
    batchDice: Bool, percentage: Double = 10, ignoredLabel: Int16? = nil, smoothing: Float = 1e-5
  ) -> CompoundLoss {
    CompoundLoss(
      dice: .forLabels(batchDice, ignoredLabel, smoothing),
      crossEntropy: TopKCrossEntropyLoss(percentage: percentage, ignoredLabel: ignoredLabel))
  }

  /// `DC_and_BCE_loss`: the default for regions.
  public static func diceAndBinaryCrossEntropy(
    batchDice: Bool, hasIgnoreChannel: Bool = false, smoothing: Float = 1e-5
  ) -> CompoundLoss {
    CompoundLoss(
      dice: SoftDiceLoss(
        isBatchwise: batchDice, includesBackground: true, smoothing: smoothing,
        target: .regions(hasIgnoreChannel: hasIgnoreChannel)),
      crossEntropy: BinaryCrossEntropyLoss(hasIgnoreChannel: hasIgnoreChannel))
  }

  public func callAsFunction(_ logits: Tensor, _ target: Tensor) -> Tensor {
    let terms = [(diceWeight, dice as any SegmentationLoss), (crossEntropyWeight, crossEntropy)].filter { $0.0 != 0 }
    check(!terms.isEmpty, "CompoundLoss: both weights are 0")
    let values = terms.map { weight, loss in
      weight == 1 ? loss(logits, target) : loss(logits, target) * weight
    }
    return values.dropFirst().reduce(values[0], +)
  }
}

extension SoftDiceLoss {
  fileprivate static func forLabels(_ batchDice: Bool, _ ignoredLabel: Int16?, _ smoothing: Float) -> SoftDiceLoss {
    SoftDiceLoss(
      isBatchwise: batchDice, includesBackground: false, smoothing: smoothing,
      target: .labels(ignoring: ignoredLabel))
  }
}
