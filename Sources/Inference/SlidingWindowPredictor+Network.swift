import GraphCompiler
import Logging
import NeuralNetworks
import TensorCore

extension SlidingWindowPredictor {
  /// - Parameters:
  ///   - network: evaluated without deep supervision.
  ///   - parameterSets: one per fold; at least one.
  ///   - allowedMirroringAxes: spatial axes, 0 for the network's first; empty turns mirroring off.
  ///   - logger: told how the network was compiled; by default only of problems.
  public init(
    network: UNet, parameterSets: [ParameterSet], patchSize: [Int], allowedMirroringAxes: [Int], stepSize: Double = 0.5,
    usesGaussian: Bool = true, precision: LogitsPrecision = .float32, logger: Logger? = nil
  ) {
    var network = network
    network.convolutionAlgorithm = precision == .reference ? .direct : .forPrediction
    let batchSize = Self.batchSize(of: patchSize)
    // Few classes: the head is a part of the compiled network. With many, the logits of a tile are made in parts.
    let isWhole = batchSize * Self.logitsByteCount(of: patchSize, headCount: network.headCount) <= Self.headByteLimit
    // One compilation serves all folds, tiles and batches.
    let compiled = CompiledForward(
      network, isWhole ? .logits : .features, batch: VariableRange(1...batchSize),
      extents: patchSize.suffix(network.architecture.dimensions).map { VariableRange($0...$0) },
      logger: logger ?? .problemsOfCompilation)
    let passes = parameterSets.map { [network] set -> NetworkPass in
      let parameters = set.preparedForPrediction(setCount: parameterSets.count)
      let features: Forward = { compiled($0, parameters)[0] }
      let head: Forward = { network.predictHead($0, parameters) }
      return NetworkPass(features: features, head: isWhole ? nil : head)
    }
    self.init(
      passes: passes, headCount: network.headCount, patchSize: patchSize, allowedMirroringAxes: allowedMirroringAxes,
      stepSize: stepSize, usesGaussian: usesGaussian, precision: precision, compiled: compiled)
  }
}

extension Logger {
  fileprivate static var problemsOfCompilation: Logger {
    var logger = Logger.compilation
    logger.logLevel = .warning
    return logger
  }
}
