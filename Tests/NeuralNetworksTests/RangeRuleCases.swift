import GraphCompiler
import NeuralNetworks
import TensorCore
import Testing

/// A function around an operation whose inputs have named extents, for the check of its range rule.
struct RangeRuleCase: Sendable, CustomTestStringConvertible {
  /// Operation, and what sets the case apart from others of it.
  let name: String
  /// One for each input, as `n y x c`: extents by name, `y/2` for a part of one, `3` for a fixed one; in front the
  /// element type where it is not float32: `int16: n y x`.
  let inputs: [InputDeclaration]
  /// The widest ranges of the names.
  let variables: [String: VariableRange]
  let body: @Sendable ([Tensor]) -> [Tensor]

  init(
    _ name: String, _ inputs: [String], multiples: [String: Int] = [:],
    _ body: @escaping @Sendable ([Tensor]) -> [Tensor]
  ) {
    self.name = name
    self.inputs = inputs.enumerated().map { Self.declaration($1, number: $0) }
    self.body = body
    var variables: [String: VariableRange] = [:]
    for declaration in self.inputs {
      for case .named(let name, _) in declaration.axes {
        let range = ["z", "y", "x"].contains(name) ? 4...12 : 1...6
        variables[name] = VariableRange(range, multipleOf: multiples[name] ?? 1)
      }
    }
    self.variables = variables
  }

  var testDescription: String { name }

  private static func declaration(_ text: String, number: Int) -> InputDeclaration {
    let parts = text.split(separator: ":")
    let types: [String: ElementType] = ["int16": .int16, "uint8": .uint8, "uint64": .uint64]
    let type = parts.count > 1 ? types[String(parts[0])] ?? .float32 : .float32
    let axes = (parts.last ?? "").split(separator: " ").map { word -> InputDeclaration.Axis in
      if let extent = Int(word) { return .fixed(extent) }
      let sides = word.split(separator: "/")
      return .named(String(sides[0]), dividedBy: sides.count > 1 ? Int(sides[1]) ?? 1 : 1)
    }
    return InputDeclaration("input\(number)", type, axes: axes)
  }
}

extension RangeRuleCase {
  static let all: [RangeRuleCase] =
    pointwise + broadcasting + reductions + layouts + labels + products + convolutions + fused + pools
    + normalizations + losses + optimization

  private static let pointwise: [RangeRuleCase] = {
    let operations: [any Operation] = [
      AbsoluteValue(), Exponential(), Softplus(), Sigmoid(), ScaleOffset(scale: 2, offset: 1),
      Clamp(lower: 0, upper: 1), NaturalLogarithm(), Reciprocal(), LeakyRectifier(negativeSlope: 0.1), SquareRoot(),
      Power(3), Softmax(), LogSoftmax(), LargestMask(count: 1), Convert(to: .int16),
    ]
    let pairs: [any Operation] = [
      SoftmaxGradient(), LogSoftmaxGradient(), LeakyRectifierGradient(negativeSlope: 0.1), ScaledAdd(1, 2),
    ]
    return operations.map { operation in
      RangeRuleCase(type(of: operation).name, ["n y c"]) { operation.apply($0) }
    }
      + pairs.map { operation in
        RangeRuleCase(type(of: operation).name, ["n y c", "n y c"]) { operation.apply($0) }
      }
      + [RangeRuleCase("Select", ["n y c", "n y c", "n y c"]) { Select().apply($0) }]
  }()

  private static let broadcasting: [RangeRuleCase] = {
    let operations: [any Operation] = [Add(), Subtract(), Multiply(), Divide(), Maximum(), Compare(.greater)]
    let shapes = [["n y c", "n y c"], ["n y c", "c"], ["1 c", "n y 1"], ["n 1 c", "n y c"]]
    return operations.flatMap { operation in
      shapes.map { shapes in
        RangeRuleCase("\(type(of: operation).name) of \(shapes)", shapes) { operation.apply($0) }
      }
    }
  }()

  private static let reductions: [RangeRuleCase] =
    [true, false].flatMap { keepsAxes in
      [
        RangeRuleCase("Sum, keeping axes \(keepsAxes)", ["n y c"]) { Sum(over: [1], keepingAxes: keepsAxes).apply($0) },
        RangeRuleCase("Mean, keeping axes \(keepsAxes)", ["n y c"]) {
          Mean(over: [0, 2], keepingAxes: keepsAxes).apply($0)
        },
        RangeRuleCase("LargestElement, keeping axes \(keepsAxes)", ["n y c"]) {
          LargestElement(over: [2], keepingAxes: keepsAxes).apply($0)
        },
      ]
    } + [RangeRuleCase("SumOfSquares", ["n y c"]) { SumOfSquares().apply($0) }]

  private static let layouts: [RangeRuleCase] = [
    RangeRuleCase("Reshape", ["n y c"]) { [Reshape(to: [$0[0].shape[0] * $0[0].shape[1], $0[0].shape[2]])($0[0])] },
    RangeRuleCase("Broadcast", ["n 1 c", "n y c"]) { [Broadcast(to: $0[1].shape)($0[0])] },
    RangeRuleCase("Transpose", ["n y c"]) { Transpose([2, 0, 1]).apply($0) },
    RangeRuleCase("Pad", ["n y c"]) { Pad(lower: [0, 1, 2], upper: [1, 0, 3], value: 0).apply($0) },
    RangeRuleCase("Slice", ["n y c"]) {
      let shape = $0[0].shape
      return [Slice(lower: [0, 2, 0], upper: [shape[0], shape[1] - 1, shape[2]])($0[0])]
    },
    RangeRuleCase("Concatenate along the last axis", ["n y c", "n y d"]) { Concatenate(axis: 2).apply($0) },
    RangeRuleCase("Concatenate three along the first axis", ["n y c", "2 y c", "m y c"]) {
      Concatenate(axis: 0).apply($0)
    },
    RangeRuleCase("Upsample", ["n y x c"]) { [$0[0].upsampled(to: $0[0].shape.spatial.map { 3 * $0 }, .linear)] },
    RangeRuleCase("UpsampleGradient", ["n y x c"], multiples: ["y": 2, "x": 2]) {
      let large = $0[0].shape
      let small = Shape([large[0]] + large.spatial.map { $0 / 2 } + [large.channels])
      return [UpsampleGradient(Upsample(to: large.spatial, .nearest), inputShape: small)($0[0])]
    },
  ]

  private static let labels: [RangeRuleCase] = [
    RangeRuleCase("OneHot", ["int16: n y"]) { OneHot(classCount: 3).apply($0) },
    RangeRuleCase("GatherChannel", ["n y c", "int16: n y"]) { GatherChannel().apply($0) },
    RangeRuleCase("ScatterChannel", ["n y", "int16: n y"]) { ScatterChannel(channels: 4).apply($0) },
    RangeRuleCase("LargestChannel", ["n y c"]) { LargestChannel().apply($0) },
    RangeRuleCase("DropoutMask", ["uint64: 2", "n y c"]) {
      [DropoutMask(probability: 0.5, shape: $0[1].shape, offset: 0)($0[0])]
    },
  ]

  private static let products: [RangeRuleCase] = [
    RangeRuleCase("MatrixProduct", ["n y c", "n c d"]) {
      MatrixProduct(transposingFirst: false, transposingSecond: false).apply($0)
    },
    RangeRuleCase("MatrixProduct of transposed matrices", ["c y", "d c"]) {
      MatrixProduct(transposingFirst: true, transposingSecond: true).apply($0)
    },
  ]

  private static let strided = ConvolutionGeometry(stride: [2, 2], padding: [1, 1])
  private static let halving = ConvolutionGeometry(stride: [2, 2], padding: [0, 0])
  private static let preserving = ConvolutionGeometry(preserving: [3, 3])
  private static let uneven = ConvolutionGeometry(
    stride: [3, 1], paddingLower: [1, 0], paddingUpper: [2, 1], dilation: [1, 2], groups: 2)

  private static let convolutions: [RangeRuleCase] = [
    RangeRuleCase("Convolution", ["n y x c", "o c 3 3", "o"]) { Convolution(preserving).apply($0) },
    RangeRuleCase("Convolution, strided", ["n y x c", "o c 3 3"]) { Convolution(strided).apply($0) },
    RangeRuleCase("Convolution, kernels of several sizes", ["n y x 2", "o 2 c 3"]) { Convolution(strided).apply($0) },
    RangeRuleCase("Convolution, uneven", ["n y x c", "4 c/2 3 2"], multiples: ["c": 2]) {
      Convolution(uneven).apply($0)
    },
    RangeRuleCase("Convolution of volumes", ["n z y x 2", "3 2 2 2 2"]) {
      Convolution(ConvolutionGeometry(stride: [1, 2, 2], padding: [1, 0, 0])).apply($0)
    },
    RangeRuleCase("ConvolutionInputGradient", ["n y/2 x/2 o", "o c 2 2", "n y x c"], multiples: ["y": 2, "x": 2]) {
      [ConvolutionInputGradient(halving, extents: $0[2].shape.spatial)($0[0], $0[1])]
    },
    RangeRuleCase("SplitConvolutionInputGradient", ["n y x o", "o 5 3 3"]) {
      SplitConvolutionInputGradient(preserving, extents: $0[0].shape.spatial, channels: [2, 3]).apply($0)
    },
    RangeRuleCase("FusedConvolutionInputGradient", ["n y x o", "o c 3 3", "n y x c"]) {
      FusedConvolutionInputGradient(preserving, extents: $0[0].shape.spatial, hasAddend: true, activation: nil)
        .apply($0)
    },
    RangeRuleCase(
      "FusedConvolutionInputGradient of a transposed convolution",
      ["n y x c", "o c 3 3", "n y x o", "o", "o", "3 n o"]
    ) {
      FusedConvolutionInputGradient(
        preserving, extents: nil, hasAddend: false, activation: .init(epsilon: 1e-5, negativeSlope: 0.01)
      ).apply($0)
    },
    RangeRuleCase("ConvolutionWeightGradient", ["n y x c", "n y x o"]) {
      ConvolutionWeightGradient(preserving, kernel: [3, 3]).apply($0)
    },
    RangeRuleCase("TransposedConvolution", ["n y x c", "c o 2 2", "o"]) {
      TransposedConvolution(stride: [2, 2]).apply($0)
    },
    RangeRuleCase("TransposedConvolution with padding", ["n y x c", "c o 3 3"]) {
      TransposedConvolution(strided, outputPadding: [1, 0]).apply($0)
    },
    RangeRuleCase("ConvolutionBiasGradient", ["n y x c"]) { ConvolutionBiasGradient().apply($0) },
    RangeRuleCase("ConvolutionBiasFill", ["c", "n y x c"]) { [ConvolutionBiasFill(shape: $0[1].shape)($0[0])] },
  ]

  private static let normalized = ConvolutionSource.normalized(negativeSlope: 0.01)

  private static let fused: [RangeRuleCase] = [
    RangeRuleCase("FusedConvolution", ["n y x 2", "n y x 3", "3 n 3", "o 5 3 3", "o"]) {
      FusedConvolution(strided, sources: [.plain, normalized], hasBias: true, givesStatistics: true).apply($0)
    },
    RangeRuleCase("FusedConvolution of one source", ["n y x c", "3 n c", "o c 1 1"]) {
      FusedConvolution(
        ConvolutionGeometry(preserving: [1, 1]), sources: [normalized], hasBias: false, givesStatistics: false
      ).apply($0)
    },
    RangeRuleCase("FusedConvolutionWeightGradient", ["n y x c", "n y x d", "3 n d", "n y x o", "3 n o"]) {
      FusedConvolutionWeightGradient(
        preserving, kernel: [3, 3], sources: [.plain, normalized], gradientSource: normalized
      ).apply($0)
    },
    RangeRuleCase("FusedTransposedConvolution", ["n y x c", "3 n c", "c o 2 2", "o"]) {
      FusedTransposedConvolution(TransposedConvolution(stride: [2, 2]), source: normalized).apply($0)
    },
    RangeRuleCase("ResidualSum", ["n y x c", "3 n c", "n y x c", "3 n c"]) {
      ResidualSum(normalized, normalized, negativeSlope: 0.01).apply($0)
    },
    RangeRuleCase("ResidualSum of plain summands", ["n y c", "n y c"]) {
      ResidualSum(.plain, .plain, negativeSlope: 0.01).apply($0)
    },
    RangeRuleCase(
      "SlabConvolution", ["n y/2 x/2 c", "3 n c", "c 2 2 2", "2", "n y x 3", "3 n 3", "o 5 3 3", "o"],
      multiples: ["y": 2, "x": 2]
    ) {
      SlabConvolution(
        FusedConvolution(preserving, sources: [.plain, normalized], hasBias: true, givesStatistics: true),
        upsampling: FusedTransposedConvolution(TransposedConvolution(stride: [2, 2]), source: normalized),
        upsamplingHasBias: true, slabPositions: 20
      ).apply($0)
    },
    RangeRuleCase("SlabConvolution of one source", ["n y x c", "o c 3 3"]) {
      SlabConvolution(
        FusedConvolution(preserving, sources: [.plain], hasBias: false, givesStatistics: false), upsampling: nil,
        upsamplingHasBias: false, slabPositions: 20
      ).apply($0)
    },
  ]

  private static let windows = [
    PoolingWindow(kernel: [2, 2], stride: [2, 2], padding: [0, 0]),
    PoolingWindow(kernel: [3, 2], stride: [2, 1], padding: [1, 0]),
  ]

  private static let pools: [RangeRuleCase] = windows.flatMap { window in
    [
      RangeRuleCase("AveragePool \(window.kernel)", ["n y x c"]) { AveragePool(window).apply($0) },
      RangeRuleCase("AveragePoolGradient \(window.kernel)", ["n y x c"]) {
        [AveragePoolGradient(window, inputShape: $0[0].shape)(AveragePool(window)($0[0]))]
      },
      RangeRuleCase("MaxPool \(window.kernel)", ["n y x c"]) { MaxPool(window).apply($0) },
      RangeRuleCase("MaxPoolSelection \(window.kernel)", ["n y x c"]) {
        [MaxPoolSelection(window)($0[0], MaxPool(window).apply($0)[1])]
      },
      RangeRuleCase("MaxPoolGradient \(window.kernel)", ["n y x c"]) {
        let pooled = MaxPool(window).apply($0)
        return [MaxPoolGradient(window, inputShape: $0[0].shape)(pooled[0], pooled[1])]
      },
    ]
  }

  private static let normalizations: [RangeRuleCase] = [
    RangeRuleCase("InstanceNormalization", ["n y x c", "c", "c"]) { InstanceNormalization(epsilon: 1e-5).apply($0) },
    RangeRuleCase("InstanceNormalizationActivation", ["n z y x c", "c", "c"]) {
      InstanceNormalizationActivation(epsilon: 1e-5, negativeSlope: 0.01).apply($0)
    },
    RangeRuleCase("InstanceNormalizationGradient", ["n y c", "n y c", "c", "c", "3 n c"]) {
      InstanceNormalizationGradient(epsilon: 1e-5, negativeSlope: 0.01).apply($0)
    },
    RangeRuleCase("FusedInstanceNormalizationGradient", ["n y c", "n y c", "c", "c", "3 n c", "2 n c"]) {
      FusedInstanceNormalizationGradient(
        InstanceNormalizationGradient(epsilon: 1e-5, negativeSlope: 0.01), takesSums: true, givesSum: true
      ).apply($0)
    },
    RangeRuleCase("NormalizationTerms", ["3 n c", "c", "c"]) { NormalizationTerms(epsilon: 1e-5).apply($0) },
    RangeRuleCase("NormalizedActivation", ["n y x c", "3 n c"]) { NormalizedActivation(negativeSlope: 0.01).apply($0) },
  ]

  private static let target = TargetKind.labels(ignoring: -1)
  private static let regions = TargetKind.regions(hasIgnoreChannel: false)

  private static let losses: [RangeRuleCase] = [
    RangeRuleCase("ClassSums", ["n y x c", "int16: n y x"]) { ClassSums(target: target).apply($0) },
    RangeRuleCase("ClassSumsAdjoint", ["n c", "n c", "int16: n y x"]) {
      let shape = Shape($0[2].shape.extents + [$0[0].shape[1]])
      return ClassSumsAdjoint(target: target, shape: shape).apply($0)
    },
    RangeRuleCase("CrossEntropyMap", ["n y x c", "int16: n y x"]) {
      CrossEntropyMap(target: target, labelSmoothing: 0).apply($0)
    },
    RangeRuleCase("CrossEntropyMapAdjoint", ["n y x", "int16: n y x"]) {
      CrossEntropyMapAdjoint(target: target, labelSmoothing: 0, classCount: 3).apply($0)
    },
    RangeRuleCase("BinaryCrossEntropySum", ["n y x c", "uint8: n y x c"]) {
      BinaryCrossEntropySum(target: regions).apply($0)
    },
    RangeRuleCase("MaskedResidual", ["n y x c", "uint8: n y x c"]) {
      MaskedResidual(target: regions, subtractsTarget: true).apply($0)
    },
  ]

  private static let optimization: [RangeRuleCase] = [
    RangeRuleCase("GradientClipping", ["", "n c", "c"]) { GradientClipping(maximumNorm: 12).apply($0) },
    RangeRuleCase("SGDUpdate", ["n c", "n c", "n c", "", ""]) { SGDUpdate(SGD()).apply($0) },
    RangeRuleCase("AdamUpdate", ["n c", "n c", "n c", "n c", "n c", "", "4 3"]) {
      AdamUpdate(Adam(isDecayDecoupled: true, usesLargestMoment: true), index: 3).apply($0)
    },
  ]
}
