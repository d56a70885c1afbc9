/// The hyperparameters of a training run.
///
/// nnU-Net: `nnUNetTrainer.__init__` and `training/nnUNetTrainer/variants/training_length`.
public struct TrainerSettings: Sendable, Hashable {
  /// The trainer's name, part of the model folder's name.
  public var name: String
  public var epochCount: Int
  public var iterationsPerEpoch = 250
  public var validationIterationsPerEpoch = 50
  public var initialLearningRate = 1e-2
  public var weightDecay = 3e-5
  public var momentum = 0.99
  /// Gradients are scaled down to this global norm where theirs is larger.
  public var gradientNormLimit = 12.0
  /// The share of a batch's samples that must contain foreground; see `Augmentation` for the rounding.
  public var foregroundOversampling = 0.33
  public var usesDeepSupervision = true

  public init(name: String, epochCount: Int) {
    self.name = name
    self.epochCount = epochCount
  }
}

extension TrainerSettings {
  private static let epochCounts = [1, 5, 10, 20, 50, 100, 250, 500, 1000, 2000, 4000, 8000]

  /// The names of all trainers there are.
  public static var names: [String] {
    ["nnUNetTrainer"] + epochCounts.map { variantName(epochs: $0) }
  }

  /// The trainer with one of nnU-Net's names.
  /// - Throws: `TrainingError.unknownTrainer`.
  public init(named name: String) throws {
    if name == "nnUNetTrainer" {
      self.init(name: name, epochCount: 1000)
      return
    }
    guard let epochs = Self.epochCounts.first(where: { Self.variantName(epochs: $0) == name }) else {
      throw TrainingError.unknownTrainer(name)
    }
    self.init(name: name, epochCount: epochs)
  }

  private static func variantName(epochs: Int) -> String {
    "nnUNetTrainer_\(epochs)epoch\(epochs == 1 ? "" : "s")"
  }
}
