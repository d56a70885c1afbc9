import Foundation

/// What is recorded once per epoch; also the curves of `progress.png`.
///
/// nnU-Net: `training/logging/nnunet_logger.py`.
public struct TrainingRecord: Sendable, Hashable {
  public var learningRates: [Double] = []
  public var trainLosses: [Double] = []
  public var validationLosses: [Double] = []
  /// Pseudo Dice of every foreground class or region; NaN where a class did not occur.
  public var dicePerClass: [[Double]] = []
  /// The mean of `dicePerClass` over the classes that occurred.
  public var meanForegroundDice: [Double] = []
  /// Its exponential moving average, `0.9 * before + 0.1 * now`.
  public var emaForegroundDice: [Double] = []
  /// Seconds since 1970.
  public var epochStartTimestamps: [Double] = []
  public var epochEndTimestamps: [Double] = []

  public init() {}

  /// The number of complete epochs.
  public var epochCount: Int { epochEndTimestamps.count }

  package mutating func appendDice(_ perClass: [Double]) {
    let occurring = perClass.filter { !$0.isNaN }
    let mean = occurring.isEmpty ? Double.nan : occurring.reduce(0, +) / Double(occurring.count)
    dicePerClass.append(perClass)
    meanForegroundDice.append(mean)
    emaForegroundDice.append(emaForegroundDice.last.map { $0 * 0.9 + 0.1 * mean } ?? mean)
  }
}

extension TrainingRecord {
  /// The scalar curves with nnU-Net's names.
  private static var curves: [(name: String, path: WritableKeyPath<TrainingRecord, [Double]>)] {
    [
      ("mean_fg_dice", \.meanForegroundDice), ("ema_fg_dice", \.emaForegroundDice), ("train_losses", \.trainLosses),
      ("val_losses", \.validationLosses), ("lrs", \.learningRates),
      ("epoch_start_timestamps", \.epochStartTimestamps), ("epoch_end_timestamps", \.epochEndTimestamps),
    ]
  }

  private static let dicePerClassName = "dice_per_class_or_region"

  /// The record in the form a checkpoint stores.
  package var checkpointValues: [String: [[Double]]] {
    var values = Dictionary(
      uniqueKeysWithValues: Self.curves.map { ($0.name, self[keyPath: $0.path].map { [$0] }) })
    values[Self.dicePerClassName] = dicePerClass
    return values
  }

  package init(checkpointValues values: [String: [[Double]]]) {
    for (name, path) in Self.curves { self[keyPath: path] = (values[name] ?? []).compactMap(\.first) }
    dicePerClass = values[Self.dicePerClassName] ?? []
  }
}
