import Datasets

/// What a metric is about: one label, or a region, which is several labels taken as one.
public enum LabelOrRegion: Hashable, Sendable, CustomStringConvertible {
  case label(Int)
  case region([Int])

  /// The labels that belong to it.
  public var labels: [Int] {
    switch self {
    case .label(let label): [label]
    case .region(let labels): labels
    }
  }

  /// The key in `summary.json`: Python's text for an integer or a tuple, such as `3` or `(1, 2, 3)`.
  public var key: String {
    switch self {
    case .label(let label): String(label)
    case .region(let labels) where labels.count == 1: "(\(labels[0]),)"
    case .region(let labels): "(" + labels.map(String.init).joined(separator: ", ") + ")"
    }
  }

  public var description: String { key }

  /// Reads a key of `summary.json`; `nil` if it is neither an integer nor a tuple of integers.
  public init?(key: String) {
    if let label = Int(key) {
      self = .label(label)
      return
    }
    guard key.hasPrefix("("), key.hasSuffix(")") else { return nil }
    var labels: [Int] = []
    for part in key.dropFirst().dropLast().split(separator: ",") {
      guard let label = Int(part.filter { $0 != " " }) else { return nil }
      labels.append(label)
    }
    guard !labels.isEmpty else { return nil }
    self = .region(labels)
  }

  /// What the metrics of a data set are about: its regions in the order of `dataset.json`, or its foreground labels.
  public static func foreground(of description: DatasetDescription) throws -> [LabelOrRegion] {
    let manager = try LabelManager(description)
    guard manager.hasRegions else { return manager.foregroundLabels.map { .label($0) } }
    return description.labels.filter { $0.key != "ignore" && Set($0.value.numbers) != [0] }.values.map { value in
      switch value {
      case .label(let label): .label(label)
      case .region(let labels): .region(labels)
      }
    }
  }
}
