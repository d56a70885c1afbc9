import TensorCore

extension OperationCase {
  private static let normalizationShapes: [Shape] = [
    [2, 3, 4, 5, 3], [1, 5, 7, 17], [3, 6, 40], [2, 9, 64, 33], [2, 40, 60, 8],
  ]

  /// Normalised values, inverse deviation and means of `[N, ..., C]`, with the values in rows of channels.
  private static func normalized(
    _ x: ReferenceArray, _ epsilon: Double
  ) -> (values: [Double], inverse: [Double], statistics: ReferenceArray) {
    let (instances, channels) = (x.shape[0], x.shape.channels)
    let rows = x.shape.spatial.reduce(1, *)
    var values = x.elements
    var inverse = [Double](repeating: 0, count: instances * channels)
    var statistics = ReferenceArray(repeating: 0, shape: [3, instances, channels])
    for instance in 0..<instances {
      for channel in 0..<channels {
        let places = (0..<rows).map { (instance * rows + $0) * channels + channel }
        let mean = places.reduce(0) { $0 + x.elements[$1] } / Double(rows)
        let variance = places.reduce(0) { $0 + (x.elements[$1] - mean) * (x.elements[$1] - mean) } / Double(rows)
        let factor = 1 / (variance + epsilon).squareRoot()
        for place in places { values[place] = (x.elements[place] - mean) * factor }
        inverse[instance * channels + channel] = factor
        let rounded = Double(Float(mean))
        statistics[[0, instance, channel]] = rounded
        statistics[[1, instance, channel]] = mean - rounded
        statistics[[2, instance, channel]] = variance
      }
    }
    return (values, inverse, statistics)
  }

  private static func forward(_ arguments: [ReferenceArray], _ epsilon: Double, _ slope: Double) -> [ReferenceArray] {
    let (values, _, statistics) = normalized(arguments[0], epsilon)
    let channels = arguments[0].shape.channels
    let result = values.enumerated().map { place, value -> Double in
      let z = value * arguments[1].elements[place % channels] + arguments[2].elements[place % channels]
      return z > 0 ? z : slope * z
    }
    return [ReferenceArray(shape: arguments[0].shape, elements: result), statistics]
  }

  /// With a sixth argument, the first is the gradient before the activation and the sixth has its sums.
  private static func gradient(_ arguments: [ReferenceArray], _ epsilon: Double, _ slope: Double) -> [ReferenceArray] {
    let (x, weight, bias) = (arguments[1], arguments[2], arguments[3])
    let (values, inverse, _) = normalized(x, epsilon)
    let (channels, rows) = (x.shape.channels, x.shape.spatial.reduce(1, *))
    let g = values.enumerated().map { place, value -> Double in
      let z = value * weight.elements[place % channels] + bias.elements[place % channels]
      return arguments[0].elements[place] * (z > 0 || arguments.count == 6 ? 1 : slope)
    }
    var result = ReferenceArray(repeating: 0, shape: x.shape)
    var weightGradient = ReferenceArray(repeating: 0, shape: weight.shape)
    var biasGradient = weightGradient
    for group in 0..<x.shape[0] * channels {
      let (instance, channel) = (group / channels, group % channels)
      let places = (0..<rows).map { (instance * rows + $0) * channels + channel }
      var sum = places.reduce(0) { $0 + g[$1] }
      var product = places.reduce(0) { $0 + g[$1] * values[$1] }
      if arguments.count == 6 {
        (sum, product) = (arguments[5][[0, instance, channel]], arguments[5][[1, instance, channel]])
      }
      weightGradient.elements[channel] += product
      biasGradient.elements[channel] += sum
      for place in places {
        result.elements[place] =
          weight.elements[channel] * inverse[group] * (g[place] - (sum + values[place] * product) / Double(rows))
      }
    }
    return [result, weightGradient, biasGradient]
  }

  /// The sums `[2, N, C]` that a fused input gradient takes of what it passes back through the activation.
  static func passedBack(
    _ gradient: ReferenceArray, _ rest: [ReferenceArray], _ epsilon: Double, _ slope: Double
  ) -> [ReferenceArray] {
    let (x, weight, bias) = (rest[0], rest[1], rest[2])
    let values = normalized(x, epsilon).values
    let (channels, rows) = (x.shape.channels, x.shape.spatial.reduce(1, *))
    var result = gradient
    var sums = ReferenceArray(repeating: 0, shape: [2, x.shape[0], channels])
    for (place, value) in values.enumerated() {
      let (instance, channel) = (place / (rows * channels), place % channels)
      if value * weight.elements[channel] + bias.elements[channel] <= 0 { result.elements[place] *= slope }
      sums[[0, instance, channel]] += result.elements[place]
      sums[[1, instance, channel]] += result.elements[place] * value
    }
    return [result, sums]
  }

  /// Inputs whose values before the activation keep away from its kink.
  static func normalizationInputs(_ shape: Shape) -> [Tensor] {
    let channels: Shape = [shape.channels]
    let weight = TestInput.uniform(channels, in: 0.5...1.5, seed: 2)
    let bias = TestInput.uniform(channels, in: -0.5...0.5, seed: 3)
    var values = TestInput.uniform(shape, in: -2...3).elements()
    for _ in 0..<30 {
      let z = forward([Tensor(values, shape: shape), weight, bias].map { ReferenceArray($0) }, 1e-5, 1)[0].elements
      let near = z.indices.filter { abs(z[$0]) < 0.01 }
      if near.isEmpty { break }
      for place in near { values[place] += z[place] < 0 ? -0.1 : 0.1 }
    }
    return [Tensor(values, shape: shape), weight, bias]
  }

  static let normalizations: [OperationCase] = normalizationShapes.flatMap { shape -> [OperationCase] in
    let channels: Shape = [shape.channels]
    let other = [[Shape(shape.extents.dropLast().map { $0 + 2 } + [shape.channels]), channels, channels]]
    return [
      OperationCase(
        InstanceNormalization(epsilon: 1e-5), "\(shape)", inputs: { normalizationInputs(shape) },
        differentiable: [0, 1, 2], tolerance: 2e-6, otherShapes: other
      ) { forward($0, 1e-5, 1) },
      OperationCase(
        InstanceNormalizationActivation(epsilon: 1e-5, negativeSlope: 0.25), "\(shape)",
        inputs: { normalizationInputs(shape) }, differentiable: [0, 1, 2], tolerance: 2e-6, otherShapes: other
      ) { forward($0, 1e-5, 0.25) },
    ]
      + [Float(1), 0.25].map { slope in
        OperationCase(
          InstanceNormalizationGradient(epsilon: 1e-5, negativeSlope: slope), "\(shape) slope \(slope)",
          inputs: {
            let inputs = normalizationInputs(shape)
            let statistics = InstanceNormalization(epsilon: 1e-5).apply(inputs)[1]
            return [TestInput.uniform(shape, seed: 5)] + inputs + [statistics]
          }, differentiable: [0, 1, 2], outputs: [0, 1, 2], tolerance: 3e-6, gradientTolerance: 3e-5
        ) { gradient($0, 1e-5, Double(slope)) }
      }
      + [
        OperationCase(
          FusedInstanceNormalizationGradient(
            InstanceNormalizationGradient(epsilon: 1e-5, negativeSlope: 0.25), takesSums: true, givesSum: true),
          "\(shape)",
          inputs: {
            let inputs = normalizationInputs(shape)
            let statistics = InstanceNormalization(epsilon: 1e-5).apply(inputs)[1]
            return [TestInput.uniform(shape, seed: 5)] + inputs
              + [statistics, TestInput.uniform([2, shape[0], shape.channels], in: -9...9, seed: 6)]
          }, differentiable: [0, 1, 2, 5], outputs: [0, 1, 2, 3], tolerance: 3e-6, gradientTolerance: 3e-5
        ) { arguments in
          let result = gradient(arguments, 1e-5, 0.25)
          var sum = ReferenceArray(repeating: 0, shape: arguments[2].shape)
          for (place, value) in result[0].elements.enumerated() { sum.elements[place % shape.channels] += value }
          return result + [sum]
        }
      ]
  }
}
