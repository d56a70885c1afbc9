import Augmentation
import Datasets
import Foundation
import ModelFormats
import NeuralNetworks
import Preprocessing
import TensorCore

/// Trains one fold, as nnU-Net's `nnUNetTrainer`.
///
/// Everything random comes from two generators with explicit states: batch `i` of the run is drawn from stream `i` of
/// the data generator, dropout from the other. A run that was stopped and resumed ends with the same weights as one
/// that was not.
public final class Trainer {
  public let run: TrainingRun
  public let log: TrainingLog
  /// Where this fold's files go.
  public let outputFolder: URL
  /// Skips every checkpoint.
  public var isCheckpointingDisabled = false
  /// Asked after every iteration and case; `true` ends the training in good order.
  public var isStopRequested: () -> Bool = { InterruptRequest.isPending }

  let network: UNet
  let lossFunction: DeepSupervisionLoss
  let optimizer: SGD
  let schedule: PolynomialSchedule
  /// Training step and evaluation as compiled functions; `nil` where `nnUNet_compile` turns that off.
  let compiled: CompiledTraining?
  let augmentation: AugmentationSettings
  let caseStore: CaseStore
  let caseInformation: CaseInformation
  let split: CrossValidationSplits.Fold

  var parameters: ParameterSet
  var optimizerState: SGD.State
  var generators: Generators
  var progress = Progress()
  var mirroringAxes: [Int]

  struct Generators: Sendable {
    /// Stream `i` draws training batch `i`.
    var trainingData: RandomGenerator
    /// Stream `i` draws validation batch `i`.
    var validationData: RandomGenerator
    var dropout: RandomGenerator
  }

  /// How far the training is.
  struct Progress: Sendable {
    var epoch = 0
    /// Finished iterations of this epoch.
    var iteration = 0
    /// Their losses.
    var losses: [Float] = []
    var bestEMA: Double?
    var record = TrainingRecord()
  }

  /// - Parameters:
  ///   - seed: the same seed gives the same weights.
  ///   - silent: nothing on the console.
  public init(_ run: TrainingRun, seed: UInt64, silent: Bool = false) throws {
    self.run = run
    outputFolder = try run.foldFolder
    try FileManager.default.createDirectory(at: outputFolder, withIntermediateDirectories: true)
    let log = try TrainingLog(folder: outputFolder, silent: silent)
    self.log = log

    var root = RandomGenerator(seed: seed)
    generators = Generators(
      trainingData: root.child(), validationData: root.child(), dropout: root.child())
    var initialization = root.child()

    let configuration = run.configuration
    network = try UNet(
      configuration: configuration, datasetDescription: run.description, plansFile: run.plans.file)
    parameters = network.initialParameters(&initialization)
    optimizer = SGD(
      momentum: Float(run.settings.momentum), usesNesterov: true, weightDecay: Float(run.settings.weightDecay))
    optimizerState = SGD.State(parameterCount: network.layout.trainable.count)
    schedule = PolynomialSchedule(
      initialRate: run.settings.initialLearningRate, stepCount: run.settings.epochCount)
    lossFunction = Self.loss(for: run, network: network)
    compiled = CompiledTraining(
      run, network: network, loss: lossFunction, optimizer: optimizer, logger: log.logger)
    augmentation = Self.augmentation(for: run, network: network)
    mirroringAxes = augmentation.mirrorAxes
    caseStore = try CaseStore(folder: run.caseFolder)
    caseInformation = CaseInformation(store: caseStore, byteLimit: 1 << 30)
    split = try run.split(of: caseStore.identifiers) { log.write($0) }
  }

  /// nnU-Net: `nnUNetTrainer._build_loss`.
  private static func loss(for run: TrainingRun, network: UNet) -> DeepSupervisionLoss {
    let labels = run.labels
    let loss: CompoundLoss =
      labels.hasRegions
      ? .diceAndBinaryCrossEntropy(batchDice: run.configuration.batchDice, hasIgnoreChannel: labels.hasIgnoreLabel)
      : .diceAndCrossEntropy(
        batchDice: run.configuration.batchDice, ignoredLabel: labels.ignoreLabel.map { Int16($0) })
    let headCount = run.settings.usesDeepSupervision ? network.architecture.stages.count - 1 : 1
    return DeepSupervisionLoss(loss: loss, weights: DeepSupervisionLoss.standardWeights(headCount: headCount))
  }

  /// nnU-Net: `nnUNetTrainer.get_dataloaders`.
  private static func augmentation(for run: TrainingRun, network: UNet) -> AugmentationSettings {
    let strides = network.architecture.stages.map(\.stride)
    return AugmentationSettings(
      geometry: AugmentationGeometry(patchSize: run.configuration.patchSize),
      deepSupervisionScales: run.settings.usesDeepSupervision
        ? AugmentationGeometry.deepSupervisionScales(strides: strides) : nil,
      useMaskForNorm: run.configuration.useMaskForNorm, isCascaded: run.configuration.previousStage != nil,
      foregroundLabels: run.labels.foregroundLabels,
      regions: run.labels.hasRegions ? run.labels.foregroundRegions : nil,
      ignoreLabel: run.labels.ignoreLabel)
  }
}
