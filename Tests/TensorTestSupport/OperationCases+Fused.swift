import TensorCore

/// Fused operations against references that do the same step by step in double precision.
extension OperationCase {
  private static let slope: Float = 0.25

  /// x and terms whose values before the activation keep away from its kink.
  private static func normalizedInputs(_ shape: Shape, seed: UInt64) -> [Tensor] {
    let termShape: Shape = [3, shape[0], shape.channels]
    let terms = TestInput.uniform(termShape, in: 0.3...1.2, seed: seed + 50)
    var values = TestInput.uniform(shape, in: -1...2, seed: seed).elements()
    for _ in 0..<30 {
      let z = applied([Tensor(values, shape: shape), terms].map { ReferenceArray($0) }, slope: 1).elements
      let near = z.indices.filter { abs(z[$0]) < 0.01 }
      if near.isEmpty { break }
      for place in near { values[place] += 0.07 }
    }
    return [Tensor(values, shape: shape), terms]
  }

  private static func applied(_ arguments: [ReferenceArray], slope: Double) -> ReferenceArray {
    let (x, terms) = (arguments[0], arguments[1])
    return ReferenceArray(shape: x.shape) { index in
      let (instance, channel) = (index[0], index[index.count - 1])
      let z =
        (x[index] - terms[[0, instance, channel]]) * terms[[1, instance, channel]] + terms[[2, instance, channel]]
      return z > 0 ? z : slope * z
    }
  }

  private static func joined(_ parts: [ReferenceArray]) -> ReferenceArray {
    let channels = parts[0].shape.channels
    let shape = Shape(parts[0].shape.extents.dropLast() + [parts.reduce(0) { $0 + $1.shape.channels }])
    return ReferenceArray(shape: shape) { index in
      var index = index
      if index[index.count - 1] < channels { return parts[0][index] }
      index[index.count - 1] -= channels
      return parts[1][index]
    }
  }

  private static func part(_ whole: ReferenceArray, from first: Int, count: Int) -> ReferenceArray {
    ReferenceArray(shape: Shape(whole.shape.extents.dropLast() + [count])) { index in
      var index = index
      index[index.count - 1] += first
      return whole[index]
    }
  }

  /// `[3, N, C]`: mean, what rounding it to float32 loses, biased variance.
  private static func statistics(_ y: ReferenceArray) -> ReferenceArray {
    var result = ReferenceArray(repeating: 0, shape: [3, y.shape[0], y.shape.channels])
    let rows = y.shape.spatial.reduce(1, *), channels = y.shape.channels
    for instance in 0..<y.shape[0] {
      for channel in 0..<channels {
        let values = (0..<rows).map { y.elements[(instance * rows + $0) * channels + channel] }
        let mean = values.reduce(0, +) / Double(rows)
        let rounded = Double(Float(mean))
        result[[0, instance, channel]] = rounded
        result[[1, instance, channel]] = mean - rounded
        result[[2, instance, channel]] = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(rows)
      }
    }
    return result
  }

  /// Convolutions whose input is cut after `first` channels.
  private static let fusedSettings: [(setting: Setting, first: Int)] = [
    (
      Setting(input: [2, 4, 3, 5, 7], weight: [5, 7, 3, 3, 3], geometry: ConvolutionGeometry(preserving: [3, 3, 3])), 4
    ),
    (Setting(input: [1, 6, 5, 20], weight: [4, 20, 3, 3], geometry: ConvolutionGeometry(preserving: [3, 3])), 16),
    (
      Setting(
        input: [2, 5, 6, 6], weight: [3, 6, 3, 3], geometry: ConvolutionGeometry(stride: [2, 2], padding: [1, 1])),
      2
    ),
    (Setting(input: [2, 3, 9, 6], weight: [5, 6, 1, 1], geometry: ConvolutionGeometry(preserving: [1, 1])), 3),
  ]

  static let fused: [OperationCase] =
    fusedSettings.flatMap { setting, first in fusedConvolutions(setting, first) } + transposed + slabs + terms
    + residualSums

  private static func fusedConvolutions(_ setting: Setting, _ first: Int) -> [OperationCase] {
    let (input, weight, output, geometry) = (setting.input, setting.weight, setting.output, setting.geometry)
    let left = Shape(input.extents.dropLast() + [first])
    let right = Shape(input.extents.dropLast() + [input.channels - first])
    let normalized = ConvolutionSource.normalized(negativeSlope: slope)
    let kernel = Array(weight.extents[2...])
    let read: @Sendable ([ReferenceArray]) -> ReferenceArray = { arguments in
      joined([arguments[0], applied(Array(arguments[1...2]), slope: Double(slope))])
    }
    return [
      OperationCase(
        FusedConvolution(geometry, sources: [.plain, normalized], hasBias: true, givesStatistics: true),
        "\(left) and \(right) with \(weight)",
        inputs: {
          [TestInput.uniform(left)] + normalizedInputs(right, seed: 5)
            + [TestInput.uniform(weight, seed: 2), TestInput.uniform([weight[0]], seed: 3)]
        }, differentiable: [0, 1, 2, 3, 4], tolerance: 4e-6
      ) { arguments in
        let source = read(arguments)
        var result = ReferenceArray(shape: output) { arguments[4].elements[$0[$0.count - 1]] }
        setting.forEachProduct { result[$0] += source[$1] * arguments[3][$2] }
        return [result, statistics(result)]
      },
      OperationCase(
        FusedConvolutionWeightGradient(
          geometry, kernel: kernel, sources: [.plain, normalized], gradientSource: .plain),
        "\(left) and \(right) with \(weight)",
        inputs: {
          [TestInput.uniform(left)] + normalizedInputs(right, seed: 5) + [TestInput.uniform(output, seed: 2)]
        }, differentiable: [0, 1, 2, 3], tolerance: 4e-6
      ) { arguments in
        let source = read(arguments)
        var result = ReferenceArray(repeating: 0, shape: weight)
        setting.forEachProduct { result[$2] += source[$1] * arguments[3][$0] }
        return [result]
      },
      OperationCase(
        FusedConvolutionWeightGradient(
          geometry, kernel: kernel, sources: [normalized], gradientSource: normalized),
        "\(input) with \(weight), both normalized",
        inputs: { normalizedInputs(input, seed: 5) + normalizedInputs(output, seed: 6) },
        differentiable: [0, 1, 2, 3], tolerance: 4e-6
      ) { arguments in
        let source = applied(Array(arguments[0...1]), slope: Double(slope))
        let gradient = applied(Array(arguments[2...3]), slope: Double(slope))
        var result = ReferenceArray(repeating: 0, shape: weight)
        setting.forEachProduct { result[$2] += source[$1] * gradient[$0] }
        return [result]
      },
      OperationCase(
        SplitConvolutionInputGradient(geometry, extents: input.spatial, channels: [first, input.channels - first]),
        "\(left) and \(right) with \(weight)",
        inputs: { [TestInput.uniform(output), TestInput.uniform(weight, seed: 2)] }, differentiable: [0, 1],
        outputs: [0, 1], tolerance: 4e-6
      ) { arguments in
        var whole = ReferenceArray(repeating: 0, shape: input)
        setting.forEachProduct { whole[$1] += arguments[0][$0] * arguments[1][$2] }
        return [part(whole, from: 0, count: first), part(whole, from: first, count: input.channels - first)]
      },
      OperationCase(
        FusedConvolutionInputGradient(geometry, extents: input.spatial, hasAddend: true, activation: nil),
        "\(input) with \(weight), added",
        inputs: {
          [TestInput.uniform(output), TestInput.uniform(weight, seed: 2), TestInput.uniform(input, seed: 3)]
        }, differentiable: [0, 1, 2], tolerance: 4e-6
      ) { arguments in
        var result = arguments[2]
        setting.forEachProduct { result[$1] += arguments[0][$0] * arguments[1][$2] }
        return [result]
      },
      OperationCase(
        FusedConvolutionInputGradient(
          geometry, extents: input.spatial, hasAddend: true, activation: .init(epsilon: 1e-5, negativeSlope: slope)),
        "\(input) with \(weight), added and passed back",
        inputs: {
          [TestInput.uniform(output), TestInput.uniform(weight, seed: 2), TestInput.uniform(input, seed: 3)]
            + activated(input)
        }, differentiable: [0, 1, 2, 3], outputs: [0, 1], tolerance: 4e-6, gradientTolerance: 3e-5
      ) { arguments in
        var result = arguments[2]
        setting.forEachProduct { result[$1] += arguments[0][$0] * arguments[1][$2] }
        return passedBack(result, Array(arguments[3...]), 1e-5, Double(slope))
      },
      OperationCase(
        FusedConvolutionInputGradient(
          geometry, extents: nil, hasAddend: false, activation: .init(epsilon: 1e-5, negativeSlope: slope)),
        "\(output) with \(weight), of a transposed convolution",
        inputs: { [TestInput.uniform(input), TestInput.uniform(weight, seed: 2)] + activated(output) },
        differentiable: [0, 1, 2], outputs: [0, 1], tolerance: 4e-6, gradientTolerance: 3e-5
      ) { arguments in
        var result = ReferenceArray(repeating: 0, shape: output)
        setting.forEachProduct { result[$0] += arguments[0][$1] * arguments[1][$2] }
        return passedBack(result, Array(arguments[2...]), 1e-5, Double(slope))
      },
    ]
  }

  /// What an activation's gradient takes: x, weight, bias and the statistics of x.
  private static func activated(_ shape: Shape) -> [Tensor] {
    let inputs = normalizationInputs(shape)
    return inputs + [InstanceNormalization(epsilon: 1e-5).apply(inputs)[1]]
  }

  private static let transposed: [OperationCase] = {
    let geometry = ConvolutionGeometry(stride: [2, 2], padding: [0, 0])
    let setting = Setting(input: [2, 6, 4, 5], weight: [7, 5, 2, 2], geometry: geometry)
    return [
      OperationCase(
        FusedTransposedConvolution(
          TransposedConvolution(stride: [2, 2]), source: .normalized(negativeSlope: slope)),
        inputs: {
          normalizedInputs(setting.output, seed: 5)
            + [TestInput.uniform(setting.weight, seed: 2), TestInput.uniform([setting.input.channels], seed: 3)]
        }, differentiable: [0, 1, 2, 3], tolerance: 4e-6
      ) { arguments in
        let source = applied(Array(arguments[0...1]), slope: Double(slope))
        var result = ReferenceArray(shape: setting.input) { arguments[3].elements[$0[$0.count - 1]] }
        setting.forEachProduct { result[$1] += source[$0] * arguments[2][$2] }
        return [result]
      }
    ]
  }()

  /// Slabs of 4 planes: of an upsampled and a second source, and of one source alone.
  private static let slabs: [OperationCase] = {
    let up = Setting(
      input: [2, 10, 4, 3], weight: [4, 3, 2, 2], geometry: ConvolutionGeometry(stride: [2, 2], padding: [0, 0]))
    let setting = Setting(
      input: [2, 10, 4, 8], weight: [5, 8, 3, 3], geometry: ConvolutionGeometry(preserving: [3, 3]))
    let normalized = ConvolutionSource.normalized(negativeSlope: slope)
    let weights: @Sendable () -> [Tensor] = {
      [TestInput.uniform(setting.weight, seed: 2), TestInput.uniform([setting.weight[0]], seed: 3)]
    }
    @Sendable func convolved(
      _ source: ReferenceArray, _ weight: ReferenceArray, _ bias: ReferenceArray
    ) -> [ReferenceArray] {
      var result = ReferenceArray(shape: setting.output) { bias.elements[$0[$0.count - 1]] }
      setting.forEachProduct { result[$0] += source[$1] * weight[$2] }
      return [result, statistics(result)]
    }
    return [
      OperationCase(
        SlabConvolution(
          FusedConvolution(setting.geometry, sources: [.plain, normalized], hasBias: true, givesStatistics: true),
          upsampling: FusedTransposedConvolution(TransposedConvolution(stride: [2, 2]), source: normalized),
          upsamplingHasBias: true, slabPositions: 16),
        "upsampled and normalized",
        inputs: {
          normalizedInputs(up.output, seed: 8) + [
            TestInput.uniform(up.weight, seed: 4), TestInput.uniform([3], seed: 5),
          ]
            + normalizedInputs([2, 10, 4, 5], seed: 5) + weights()
        }, differentiable: Set(0...7), tolerance: 4e-6
      ) { arguments in
        let coarse = applied(Array(arguments[0...1]), slope: Double(slope))
        var upsampled = ReferenceArray(shape: up.input) { arguments[3].elements[$0[$0.count - 1]] }
        up.forEachProduct { upsampled[$1] += coarse[$0] * arguments[2][$2] }
        let source = joined([upsampled, applied(Array(arguments[4...5]), slope: Double(slope))])
        return convolved(source, arguments[6], arguments[7])
      },
      OperationCase(
        SlabConvolution(
          FusedConvolution(setting.geometry, sources: [normalized], hasBias: true, givesStatistics: true),
          upsampling: nil, upsamplingHasBias: false, slabPositions: 16),
        "normalized", inputs: { normalizedInputs(setting.input, seed: 5) + weights() },
        differentiable: Set(0...3), tolerance: 4e-6
      ) { arguments in
        convolved(applied(Array(arguments[0...1]), slope: Double(slope)), arguments[2], arguments[3])
      },
    ]
  }()

  /// Sums of a summand or two that are normalised, with values that keep away from the kinks.
  private static let residualSums: [OperationCase] = {
    let normalized = ConvolutionSource.normalized(negativeSlope: slope)
    let settings: [(ConvolutionSource, ConvolutionSource, Float, String)] = [
      (.normalized(negativeSlope: 1), .plain, slope, "normalized and plain"),
      (.plain, normalized, 1, "plain and normalized, without an activation"),
      (normalized, .normalized(negativeSlope: 1), slope, "both normalized"),
      (.plain, .plain, 0, "both plain"),
    ]
    return settings.map { first, second, negativeSlope, note in
      let shape: Shape = [2, 3, 4, 21]
      @Sendable func sum(_ arguments: [ReferenceArray], slope: Double) -> ReferenceArray {
        var rest = arguments
        let summands = [first, second].map { source in
          defer { rest.removeFirst(source.inputCount) }
          guard case .normalized(let slope) = source else { return rest[0] }
          return applied(rest, slope: Double(slope))
        }
        return ReferenceArray(shape: shape) { index in
          let z = summands[0][index] + summands[1][index]
          return z > 0 ? z : slope * z
        }
      }
      return OperationCase(
        ResidualSum(first, second, negativeSlope: negativeSlope), note,
        inputs: {
          var inputs = [first, second].enumerated().flatMap { number, source in
            Array(normalizedInputs(shape, seed: 9 + UInt64(number)).prefix(source.inputCount))
          }
          for _ in 0..<60 {
            let z = sum(inputs.map { ReferenceArray($0) }, slope: 1).elements
            let own = first == .plain ? z : applied(inputs.prefix(2).map { ReferenceArray($0) }, slope: 1).elements
            let near = z.indices.filter { abs(z[$0]) < 0.01 || abs(own[$0]) < 0.01 }
            if near.isEmpty { break }
            var values = inputs[0].elements()
            for place in near { values[place] += 0.07 }
            inputs[0] = Tensor(values, shape: shape)
          }
          return inputs
        }, differentiable: Set(0..<first.inputCount + second.inputCount)
      ) { [sum($0, slope: Double(negativeSlope))] }
    }
  }()

  private static let terms: [OperationCase] = [
    OperationCase(
      NormalizedActivation(negativeSlope: slope), inputs: { normalizedInputs([2, 3, 4, 5], seed: 1) },
      differentiable: [0, 1]
    ) { [applied($0, slope: Double(slope))] },
    OperationCase(
      NormalizationTerms(epsilon: 1e-5),
      inputs: {
        let means = TestInput.uniform([1, 2, 5], seed: 1).elements()
        let lost = TestInput.uniform([1, 2, 5], seed: 2).elements().map { $0 * 1e-7 }
        let variances = TestInput.uniform([1, 2, 5], in: 0.5...2, seed: 3).elements()
        return [
          Tensor(means + lost + variances, shape: [3, 2, 5]), TestInput.uniform([5], seed: 4),
          TestInput.uniform([5], seed: 5),
        ]
      }, differentiable: [0, 1, 2]
    ) { arguments in
      [
        ReferenceArray(shape: [3, 2, 5]) { index in
          let (instance, channel) = (index[1], index[2])
          let scale =
            arguments[1].elements[channel] / (arguments[0][[2, instance, channel]] + Double(Float(1e-5))).squareRoot()
          switch index[0] {
          case 0: return arguments[0][[0, instance, channel]]
          case 1: return scale
          // What rounding lost of the mean moves the offset, but counts as constant.
          default: return arguments[2].elements[channel]
          }
        }
      ]
    },
  ]
}
