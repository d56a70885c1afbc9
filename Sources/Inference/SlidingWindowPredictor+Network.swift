import GraphCompiler
import NeuralNetworks
import TensorCore

extension SlidingWindowPredictor {
  /// - Parameters:
  ///   - network: evaluated without deep supervision.
  ///   - parameterSets: one per fold; at least one.
  ///   - allowedMirroringAxes: spatial axes, 0 for the network's first; empty turns mirroring off.
  public init(
    network: UNet, parameterSets: [ParameterSet], patchSize: [Int], allowedMirroringAxes: [Int], stepSize: Double = 0.5,
    usesGaussian: Bool = true, precision: LogitsPrecision = .float32
  ) {
    // One compilation serves all folds, tiles and batches.
    let features = CompiledForward(
      network, .features, batch: VariableRange(1...Self.batchSize(of: patchSize)),
      extents: patchSize.suffix(network.architecture.dimensions).map { VariableRange($0...$0) })
    self.init(
      passes: parameterSets.map { $0.preparedForPrediction() }.map { parameters in
        NetworkPass(features: { features($0, parameters)[0] }, head: { network.predictHead($0, parameters) })
      },
      headCount: network.headCount, patchSize: patchSize, allowedMirroringAxes: allowedMirroringAxes,
      stepSize: stepSize, usesGaussian: usesGaussian, precision: precision)
  }
}
