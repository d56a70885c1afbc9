import Foundation

/// A fold by its number, or all cases for training and validation alike.
public enum FoldSelection: Sendable, Hashable, CustomStringConvertible {
  case number(Int)
  case all

  /// `0`, `1`, ... or `all`.
  public init?(_ text: String) {
    if text == "all" {
      self = .all
    } else if let number = Int(text), number >= 0 {
      self = .number(number)
    } else {
      return nil
    }
  }

  public var description: String {
    switch self {
    case .number(let number): String(number)
    case .all: "all"
    }
  }
}

/// The folds of a cross-validation: the contents of `splits_final.json`.
public struct CrossValidationSplits: Sendable, Hashable {
  public struct Fold: Sendable, Hashable {
    public let train: [String]
    public let val: [String]

    public init(train: [String], val: [String]) {
      self.train = train
      self.val = val
    }

    /// Cases that are in both lists; worth a warning.
    public var overlap: [String] {
      let train = Set(train)
      return val.filter(train.contains)
    }
  }

  public let folds: [Fold]

  public init(folds: [Fold]) {
    self.folds = folds
  }

  /// nnU-Net's five folds: scikit-learn's `KFold(5, shuffle=True, random_state=12345)` of the sorted identifiers.
  /// - Throws: ``DatasetError`` for fewer cases than folds.
  public init(identifiers: [String], seed: UInt32 = 12345, foldCount: Int = 5) throws {
    let sorted = identifiers.sorted(by: precedesByCodePoint)
    guard sorted.count >= foldCount, foldCount >= 2 else {
      throw DatasetError(
        .invalidValue, file: nil,
        problem: "\(sorted.count) cases can't be split into \(foldCount) folds",
        advice: "Add cases, train with fold 'all', or write a splits_final.json of your own")
    }
    var generator = NumPyRandomState(seed: seed)
    let order = generator.permutation(sorted.count)
    var start = 0
    folds = (0..<foldCount).map { fold in
      let count = sorted.count / foldCount + (fold < sorted.count % foldCount ? 1 : 0)
      let validation = Set(order[start..<start + count])
      start += count
      return Fold(
        train: sorted.indices.filter { !validation.contains($0) }.map { sorted[$0] },
        val: sorted.indices.filter { validation.contains($0) }.map { sorted[$0] })
    }
  }

  /// Reads `splits_final.json`.
  public init(contentsOf file: URL) throws {
    folds = try JSONField(contentsOf: file).elements().map {
      Fold(train: try $0.field("train").strings(), val: try $0.field("val").strings())
    }
  }

  /// Writes the file as nnU-Net does.
  public func write(to file: URL) throws {
    try json.write(to: file, sortKeys: true)
  }

  package var json: JSONValue {
    .array(folds.map { ["train": JSONValue($0.train), "val": JSONValue($0.val)] })
  }

  /// The cases of a fold; for a number that isn't in the file a random, seeded 80:20 split of all identifiers.
  public func fold(_ selection: FoldSelection, identifiers: [String]) -> Fold {
    switch selection {
    case .all: return Fold(train: identifiers, val: identifiers)
    case .number(let number) where folds.indices.contains(number): return folds[number]
    case .number(let number): return Self.randomFold(number, identifiers: identifiers)
    }
  }

  /// nnU-Net's split for a fold that isn't in the file (`nnUNetTrainer.do_split`); training cases in drawn order.
  public static func randomFold(_ number: Int, identifiers: [String]) -> Fold {
    let sorted = identifiers.sorted(by: precedesByCodePoint)
    var generator = NumPyRandomState(seed: UInt32(truncatingIfNeeded: 12345 &+ number))
    let train = generator.choiceWithoutReplacement(from: sorted.count, count: Int(Double(sorted.count) * 0.8))
    let isTrain = Set(train)
    return Fold(
      train: train.map { sorted[$0] },
      val: sorted.indices.filter { !isTrain.contains($0) }.map { sorted[$0] })
  }
}
