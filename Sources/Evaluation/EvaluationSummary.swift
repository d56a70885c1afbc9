/// The metrics of a folder of predictions: what nnU-Net writes to `summary.json`.
public struct EvaluationSummary: Sendable {
  /// The metrics of one prediction.
  public struct Case: Sendable {
    public let predictionFile: String
    public let referenceFile: String
    /// One entry per label or region, in the order of `EvaluationSummary.targets`.
    public let counts: [ConfusionCounts]

    public init(predictionFile: String, referenceFile: String, counts: [ConfusionCounts]) {
      self.predictionFile = predictionFile
      self.referenceFile = referenceFile
      self.counts = counts
    }
  }

  /// Means over cases or over classes.
  public struct Metrics: Hashable, Sendable {
    public var dice: Double
    public var intersectionOverUnion: Double
    public var truePositives: Double
    public var falsePositives: Double
    public var falseNegatives: Double
    public var trueNegatives: Double
    public var predicted: Double
    public var reference: Double
  }

  /// The labels or regions that were evaluated.
  public let targets: [LabelOrRegion]
  public let cases: [Case]
  /// Per label or region the mean over cases; cases where a value is NaN are left out.
  public let mean: [LabelOrRegion: Metrics]
  /// The plain mean of `mean` over all labels or regions but the background: one NaN makes it NaN.
  public let foregroundMean: Metrics

  /// Computes the means.
  ///
  /// nnU-Net: `compute_metrics_on_folder` of `nnunetv2/evaluation/evaluate_predictions.py`.
  public init(targets: [LabelOrRegion], cases: [Case]) {
    self.targets = targets
    self.cases = cases
    var means: [LabelOrRegion: Metrics] = [:]
    for (index, target) in targets.enumerated() {
      means[target] = Metrics { metric in nanMean(cases.map { metric.value(of: $0.counts[index]) }) }
    }
    mean = means
    let foreground = targets.filter { $0 != .label(0) }.compactMap { means[$0] }
    foregroundMean = Metrics { metric in
      pairwiseSum(foreground.map { $0[keyPath: metric.path] }) / Double(foreground.count)
    }
  }

  init(targets: [LabelOrRegion], cases: [Case], mean: [LabelOrRegion: Metrics], foregroundMean: Metrics) {
    self.targets = targets
    self.cases = cases
    self.mean = mean
    self.foregroundMean = foregroundMean
  }
}

/// The metrics of `summary.json` by their keys there.
enum Metric: String, CaseIterable {
  case dice = "Dice"
  case falseNegatives = "FN"
  case falsePositives = "FP"
  case intersectionOverUnion = "IoU"
  case trueNegatives = "TN"
  case truePositives = "TP"
  case predicted = "n_pred"
  case reference = "n_ref"

  var path: WritableKeyPath<EvaluationSummary.Metrics, Double> {
    switch self {
    case .dice: \.dice
    case .falseNegatives: \.falseNegatives
    case .falsePositives: \.falsePositives
    case .intersectionOverUnion: \.intersectionOverUnion
    case .trueNegatives: \.trueNegatives
    case .truePositives: \.truePositives
    case .predicted: \.predicted
    case .reference: \.reference
    }
  }

  /// The number of voxels, for the metrics that count voxels.
  func count(of counts: ConfusionCounts) -> Int? {
    switch self {
    case .dice, .intersectionOverUnion: nil
    case .falseNegatives: counts.falseNegatives
    case .falsePositives: counts.falsePositives
    case .trueNegatives: counts.trueNegatives
    case .truePositives: counts.truePositives
    case .predicted: counts.predicted
    case .reference: counts.reference
    }
  }

  func value(of counts: ConfusionCounts) -> Double {
    if let count = count(of: counts) { return Double(count) }
    return self == .dice ? counts.dice : counts.intersectionOverUnion
  }
}

extension EvaluationSummary.Metrics {
  init(_ value: (Metric) -> Double) {
    self.init(
      dice: 0, intersectionOverUnion: 0, truePositives: 0, falsePositives: 0, falseNegatives: 0, trueNegatives: 0,
      predicted: 0, reference: 0)
    for metric in Metric.allCases { self[keyPath: metric.path] = value(metric) }
  }
}

/// `numpy.nanmean`: the mean of the values that are numbers; NaN if none is.
func nanMean(_ values: [Double]) -> Double {
  pairwiseSum(values.map { $0.isNaN ? 0 : $0 }) / Double(values.count { !$0.isNaN })
}

/// The sum in the order in which NumPy adds, so that means agree to the last bit.
///
/// numpy: `pairwise_sum` of `loops_utils.h.src` (eight partial sums up to 128 values, halves beyond).
func pairwiseSum(_ values: some RandomAccessCollection<Double>) -> Double {
  let values = Array(values)
  func sum(_ range: Range<Int>) -> Double {
    if range.count < 8 { return range.reduce(0) { $0 + values[$1] } }
    if range.count <= 128 {
      var partial = (0..<8).map { values[range.lowerBound + $0] }
      var index = range.lowerBound + 8
      while index + 8 <= range.upperBound {
        for lane in 0..<8 { partial[lane] += values[index + lane] }
        index += 8
      }
      var total =
        ((partial[0] + partial[1]) + (partial[2] + partial[3]))
        + ((partial[4] + partial[5]) + (partial[6] + partial[7]))
      while index < range.upperBound {
        total += values[index]
        index += 1
      }
      return total
    }
    var half = range.count / 2
    half -= half % 8
    return sum(range.lowerBound..<range.lowerBound + half) + sum(range.lowerBound + half..<range.upperBound)
  }
  return sum(0..<values.count)
}
