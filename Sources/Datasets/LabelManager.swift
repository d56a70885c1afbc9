/// Which labels and regions a network predicts, as nnU-Net's `LabelManager`.
///
/// The numerics are those of nnU-Net's utilities/label_handling/label_handling.py.
public struct LabelManager: Sendable, Hashable {
  /// What turns logits into probabilities.
  public enum InferenceNonlinearity: Sendable, Hashable {
    /// Labels exclude each other.
    case softmax
    /// Regions overlap.
    case sigmoid
  }

  /// All label numbers but the ignore label, ascending, background included.
  public let allLabels: [Int]
  /// `allLabels` without background.
  public let foregroundLabels: [Int]
  /// Whether the network predicts regions instead of labels: some label is a list of more than one number.
  public let hasRegions: Bool
  /// The regions in the order of `dataset.json`, without background; empty without regions.
  public let foregroundRegions: [[Int]]
  /// For each region the number it is written as; later ones overwrite earlier ones. Empty without regions.
  public let regionsClassOrder: [Int]
  public let ignoreLabel: Int?

  public var hasIgnoreLabel: Bool { ignoreLabel != nil }

  /// The output channels of the network.
  public var segmentationHeadCount: Int { hasRegions ? foregroundRegions.count : allLabels.count }

  public var inferenceNonlinearity: InferenceNonlinearity { hasRegions ? .sigmoid : .softmax }

  /// What metrics are computed for: the regions, or each foreground label by itself.
  public var foregroundLabelsOrRegions: [[Int]] {
    hasRegions ? foregroundRegions : foregroundLabels.map { [$0] }
  }

  /// - Parameter forceLabels: treats regions as plain labels.
  /// - Throws: ``DatasetError`` if background isn't 0, the ignore label isn't the highest, or regions have no order.
  public init(_ description: DatasetDescription, forceLabels: Bool = false) throws {
    let labels = description.labels
    func invalid(_ problem: String, _ advice: String) -> DatasetError {
      DatasetError(.invalidValue, file: description.file, problem: problem, advice: advice)
    }
    guard let background = labels["background"] else {
      throw invalid("'labels' has no 'background'", "Add \"background\": 0")
    }
    guard background == .label(0) else {
      throw invalid("'labels.background' is \(background.numbers), but must be 0", "Renumber the labels")
    }
    if let ignore = labels["ignore"] {
      guard case .label(let number) = ignore else {
        throw invalid("'labels.ignore' is a list", "Give the ignore label as one number")
      }
      ignoreLabel = number
    } else {
      ignoreLabel = nil
    }
    let named = labels.filter { $0.key != "ignore" }
    allLabels = Set(named.values.flatMap(\.numbers)).sorted()
    foregroundLabels = allLabels.filter { $0 != 0 }
    hasRegions =
      !forceLabels
      && labels.values.contains { if case .region(let numbers) = $0 { numbers.count > 1 } else { false } }
    if hasRegions {
      let regions = named.values.filter { Set($0.numbers) != [0] }.map(\.numbers)
      guard let order = description.regionsClassOrder else {
        throw invalid("labels are regions, but 'regions_class_order' is missing", "Add one number per region")
      }
      guard order.count == regions.count else {
        throw invalid(
          "'regions_class_order' has \(order.count) entries for \(regions.count) regions",
          "Give one number per label in 'labels', background and ignore excepted")
      }
      foregroundRegions = regions
      regionsClassOrder = order
    } else {
      foregroundRegions = []
      regionsClassOrder = []
    }
    if let ignoreLabel, ignoreLabel != (allLabels.last ?? 0) + 1 {
      throw invalid(
        "the ignore label is \(ignoreLabel), but the highest other label is \(allLabels.last ?? 0)",
        "The ignore label must be the highest label plus one")
    }
  }

  /// The input channels of a network: the images' channels, and in a cascade one per foreground label before.
  public func inputChannelCount(channels: Int, configuration: PlannedConfiguration) -> Int {
    configuration.previousStage == nil ? channels : channels + foregroundLabels.count
  }
}
