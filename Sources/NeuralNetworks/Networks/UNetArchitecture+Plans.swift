import TensorCore

private typealias Convert = ConfigurationConversion

extension UNetArchitecture {
  /// Reads what plans hold under `architecture`.
  ///
  /// - Parameters:
  ///   - networkClassName: `network_class_name`; only its last component counts.
  ///   - arguments: `arch_kwargs`, an object.
  ///   - importedArguments: `_kw_requires_import`: the arguments that name Python classes.
  ///   - deepSupervision: overrides the argument of that name; without either it is off, as in Python.
  /// - Throws: `ArchitectureError` for unknown classes, unknown arguments, missing and misshapen ones.
  public init(
    networkClassName: String, arguments: ConfigurationValue, importedArguments: [String],
    deepSupervision: Bool? = nil
  ) throws {
    let className = networkClassName.split(separator: ".").last.map(String.init) ?? networkClassName
    guard let kind = Kind(rawValue: className) else {
      throw ArchitectureError(
        path: "network_class_name", expected: Kind.allCases.map(\.rawValue).joined(separator: " or "),
        found: "'\(networkClassName)'")
    }
    let importable = Set(["conv_op", "norm_op", "dropout_op", "nonlin", "block"])
    if let unknown = importedArguments.first(where: { !importable.contains($0) }) {
      throw ArchitectureError(
        path: "_kw_requires_import", expected: importable.sorted().joined(separator: ", "), found: "'\(unknown)'")
    }
    var reader = try ConfigurationReader(arguments, path: "arch_kwargs")
    let dimensions = try Self.dimensions(&reader)
    let stages = try Self.stages(&reader, kind: kind, dimensions: dimensions)
    let decoderBlockCounts = try reader.require("n_conv_per_stage_decoder") {
      try Convert.list($0, $1, count: stages.count - 1, what: "decoder stage", Convert.positive)
    }
    var block = ResidualBlock.basic
    var stemFeatures: Int?
    var isActivationFirst = false
    switch kind {
    case .plainConvUNet:
      isActivationFirst = try reader.optional("nonlin_first", Convert.bool) ?? false
    case .residualEncoderUNet:
      block = try Self.block(&reader)
      stemFeatures = try reader.optional("stem_channels", Convert.positive)
      if block == .bottleneck, stages.contains(where: { $0.bottleneckFeatures == nil }) {
        throw ArchitectureError(
          path: reader.path("bottleneck_channels"), expected: "an integer for BottleneckD", found: "nothing")
      }
    }
    let hasBias = try reader.optional("conv_bias", Convert.bool) ?? false
    let normalization = try Self.normalization(&reader, dimensions: dimensions)
    let dropout = try Self.dropout(&reader, dimensions: dimensions)
    let activation = try Self.activation(&reader)
    let ownDeepSupervision = try reader.optional("deep_supervision", Convert.bool) ?? false
    try reader.finish(kind.rawValue)
    self.init(
      kind: kind, dimensions: dimensions, stages: stages, decoderBlockCounts: decoderBlockCounts,
      hasConvolutionBias: hasBias, normalization: normalization, dropout: dropout, activation: activation,
      isActivationFirst: isActivationFirst, deepSupervision: deepSupervision ?? ownDeepSupervision,
      residualBlock: block, stemFeatures: stemFeatures)
  }

  private static func dimensions(_ reader: inout ConfigurationReader) throws -> Int {
    let name = try reader.require("conv_op", Convert.className)
    switch name {
    case "Conv2d": return 2
    case "Conv3d": return 3
    default: throw ArchitectureError(path: reader.path("conv_op"), expected: "Conv2d or Conv3d", found: "'\(name)'")
    }
  }

  private static func stages(
    _ reader: inout ConfigurationReader, kind: Kind, dimensions: Int
  ) throws -> [Stage] {
    let count = try reader.require("n_stages", Convert.positive)
    guard count >= 2 else {
      throw ArchitectureError(path: reader.path("n_stages"), expected: "at least 2", found: "\(count)")
    }
    func integers(_ key: String) throws -> [Int] {
      try reader.require(key) { try Convert.list($0, $1, count: count, what: "stage", Convert.positive) }
    }
    func extents(_ key: String) throws -> [[Int]] {
      try reader.require(key) { value, path in
        try Convert.list(value, path, count: count, what: "stage") {
          try Convert.list($0, $1, count: dimensions, what: "axis", Convert.positive)
        }
      }
    }
    let features = try integers("features_per_stage")
    let kernelSizes = try extents("kernel_sizes")
    let strides = try extents("strides")
    let blockCounts = try integers(kind == .plainConvUNet ? "n_conv_per_stage" : "n_blocks_per_stage")
    var bottlenecks = [Int?](repeating: nil, count: count)
    if kind == .residualEncoderUNet,
      let given = try reader.optional(
        "bottleneck_channels", { try Convert.list($0, $1, count: count, what: "stage", Convert.positive) })
    {
      bottlenecks = given
    }
    return (0..<count).map {
      Stage(
        features: features[$0], kernelSize: kernelSizes[$0], stride: strides[$0], blockCount: blockCounts[$0],
        bottleneckFeatures: bottlenecks[$0])
    }
  }

  private static func block(_ reader: inout ConfigurationReader) throws -> ResidualBlock {
    guard let name = try reader.optional("block", Convert.className) else { return .basic }
    guard let block = ResidualBlock(rawValue: name) else {
      throw ArchitectureError(
        path: reader.path("block"), expected: "BasicBlockD or BottleneckD", found: "'\(name)'")
    }
    return block
  }

  private static func normalization(
    _ reader: inout ConfigurationReader, dimensions: Int
  ) throws -> Normalization? {
    let name = try reader.optional("norm_op", Convert.className)
    let path = reader.path("norm_op_kwargs")
    var arguments = try ConfigurationReader(reader.take("norm_op_kwargs") ?? .null, path: path)
    guard let name else { return nil }
    let epsilon = Float(try arguments.optional("eps", Convert.number) ?? 1e-5)
    let affine = try arguments.optional("affine", Convert.bool)
    let tracks = try arguments.optional("track_running_stats", Convert.bool)
    switch name {
    case "InstanceNorm\(dimensions)d":
      if tracks == true {
        throw ArchitectureError(
          path: path + ".track_running_stats", expected: "false for instance normalization", found: "true")
      }
      // Without running statistics a momentum has no meaning; PyTorch accepts it all the same.
      _ = arguments.take("momentum")
      try arguments.finish(name)
      return .instance(epsilon: epsilon, affine: affine ?? false)
    case "BatchNorm\(dimensions)d":
      let hasMomentum = arguments.contains("momentum")
      let momentum = try arguments.optional("momentum", Convert.number).map { Float($0) }
      try arguments.finish(name)
      return .batch(
        epsilon: epsilon, momentum: hasMomentum ? momentum : 0.1, affine: affine ?? true,
        tracksRunningStatistics: tracks ?? true)
    default:
      throw ArchitectureError(
        path: reader.path("norm_op"),
        expected: "InstanceNorm\(dimensions)d, BatchNorm\(dimensions)d or null", found: "'\(name)'")
    }
  }

  private static func dropout(_ reader: inout ConfigurationReader, dimensions: Int) throws -> Dropout? {
    let name = try reader.optional("dropout_op", Convert.className)
    let path = reader.path("dropout_op_kwargs")
    var arguments = try ConfigurationReader(reader.take("dropout_op_kwargs") ?? .null, path: path)
    guard let name else { return nil }
    guard name == "Dropout" || name == "Dropout\(dimensions)d" else {
      throw ArchitectureError(
        path: reader.path("dropout_op"), expected: "Dropout\(dimensions)d, Dropout or null", found: "'\(name)'")
    }
    let probability = try arguments.optional("p", Convert.number) ?? 0.5
    guard (0...1).contains(probability) else {
      throw ArchitectureError(path: path + ".p", expected: "a probability", found: "\(probability)")
    }
    // Tensors are values: whether PyTorch would reuse memory makes no difference to the result.
    _ = try arguments.optional("inplace", Convert.bool)
    try arguments.finish(name)
    return Dropout(probability: Float(probability), isChannelwise: name != "Dropout")
  }

  private static func activation(_ reader: inout ConfigurationReader) throws -> Activation? {
    let name = try reader.optional("nonlin", Convert.className)
    let path = reader.path("nonlin_kwargs")
    var arguments = try ConfigurationReader(reader.take("nonlin_kwargs") ?? .null, path: path)
    guard let name else { return nil }
    _ = try arguments.optional("inplace", Convert.bool)
    switch name {
    case "LeakyReLU":
      let slope = try arguments.optional("negative_slope", Convert.number) ?? 0.01
      try arguments.finish(name)
      return .leakyReLU(negativeSlope: Float(slope))
    case "ReLU":
      try arguments.finish(name)
      return .relu
    default:
      throw ArchitectureError(
        path: reader.path("nonlin"), expected: "LeakyReLU, ReLU or null", found: "'\(name)'")
    }
  }
}
