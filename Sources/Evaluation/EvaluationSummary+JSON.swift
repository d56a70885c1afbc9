import Datasets
import Foundation

extension EvaluationSummary {
  /// The summary as nnU-Net writes it: keys of labels as `1`, of regions as `(1, 2, 3)`, NaN where a class never occurs.
  public var json: JSONValue {
    [
      "foreground_mean": foregroundMean.json,
      "mean": meanJSON,
      "metric_per_case": .array(cases.map { json(of: $0) }),
    ]
  }

  /// Writes `summary.json` with sorted keys; the file is whole or absent.
  public func write(to file: URL) throws {
    try json.write(to: file, sortKeys: true)
  }

  var meanJSON: JSONValue {
    .object(.init(uniqueKeysWithValues: targets.compactMap { target in mean[target].map { (target.key, $0.json) } }))
  }

  private func json(of oneCase: Case) -> JSONValue {
    let metrics = zip(targets, oneCase.counts).map { target, counts in
      let values = Metric.allCases.map { metric -> (String, JSONValue) in
        (metric.rawValue, metric.count(of: counts).map(JSONValue.integer) ?? .number(metric.value(of: counts)))
      }
      return (target.key, JSONValue.object(.init(uniqueKeysWithValues: values)))
    }
    return [
      "metrics": .object(.init(uniqueKeysWithValues: metrics)),
      "prediction_file": .string(oneCase.predictionFile),
      "reference_file": .string(oneCase.referenceFile),
    ]
  }
}

extension EvaluationSummary.Metrics {
  var json: JSONValue {
    .object(.init(uniqueKeysWithValues: Metric.allCases.map { ($0.rawValue, .number(self[keyPath: $0.path])) }))
  }

  fileprivate init(_ field: JSONField) throws {
    self.init(
      dice: 0, intersectionOverUnion: 0, truePositives: 0, falsePositives: 0, falseNegatives: 0,
      trueNegatives: 0, predicted: 0, reference: 0)
    for metric in Metric.allCases { self[keyPath: metric.path] = try field.field(metric.rawValue).double() }
  }
}

extension EvaluationSummary {
  /// Reads a `summary.json`, ours or nnU-Net's. The means are taken as they stand in the file.
  /// - Throws: ``DatasetError``, ``JSONSyntaxError`` or ``EvaluationError`` for a file that is no summary.
  public init(contentsOf file: URL) throws {
    let root = try JSONField(contentsOf: file)
    func target(_ key: String) throws -> LabelOrRegion {
      guard let target = LabelOrRegion(key: key) else {
        throw EvaluationError.unreadableSummary(
          file: file.path, problem: "'\(key)' is neither a label nor a region such as (1, 2)")
      }
      return target
    }
    var targets: [LabelOrRegion] = []
    var mean: [LabelOrRegion: Metrics] = [:]
    for (key, field) in try root.field("mean").entries() {
      let target = try target(key)
      targets.append(target)
      mean[target] = try Metrics(field)
    }
    let order = targets
    let cases = try root.field("metric_per_case").elements().map { field in
      let metrics = try field.field("metrics")
      return Case(
        predictionFile: try field.field("prediction_file").string(),
        referenceFile: try field.field("reference_file").string(),
        counts: try order.map { target in
          let values = try metrics.field(target.key)
          return ConfusionCounts(
            truePositives: try values.field("TP").int(), falsePositives: try values.field("FP").int(),
            falseNegatives: try values.field("FN").int(), trueNegatives: try values.field("TN").int())
        })
    }
    self.init(
      targets: order, cases: cases, mean: mean, foregroundMean: try Metrics(try root.field("foreground_mean")))
  }
}
