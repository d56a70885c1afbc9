import NeuralNetworks

extension SlidingWindowPredictor {
  /// - Parameters:
  ///   - network: evaluated without deep supervision.
  ///   - parameterSets: one per fold; at least one.
  ///   - allowedMirroringAxes: spatial axes, 0 for the network's first; empty turns mirroring off.
  public init(
    network: UNet, parameterSets: [ParameterSet], patchSize: [Int], allowedMirroringAxes: [Int], stepSize: Double = 0.5,
    usesGaussian: Bool = true, precision: LogitsPrecision = .float32
  ) {
    self.init(
      passes: parameterSets.map { $0.preparedForPrediction() }.map { parameters in
        NetworkPass(
          features: { network.predictFeatures($0, parameters) }, head: { network.predictHead($0, parameters) })
      },
      headCount: network.headCount, patchSize: patchSize, allowedMirroringAxes: allowedMirroringAxes,
      stepSize: stepSize, usesGaussian: usesGaussian, precision: precision)
  }
}
