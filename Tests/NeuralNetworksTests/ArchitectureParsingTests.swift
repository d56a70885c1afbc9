import NeuralNetworks
import Testing

@Suite struct ArchitectureParsingTests {
  private func arguments(_ changes: [String: ConfigurationValue?]) -> ConfigurationValue {
    var members: [(String, ConfigurationValue)] = [
      ("n_stages", 2), ("features_per_stage", [4, 8]), ("conv_op", "torch.nn.modules.conv.Conv3d"),
      ("kernel_sizes", 3), ("strides", [1, [1, 2, 2]]), ("n_conv_per_stage", [2, 1]),
      ("n_conv_per_stage_decoder", 2), ("conv_bias", true),
      ("norm_op", "torch.nn.modules.instancenorm.InstanceNorm3d"), ("norm_op_kwargs", ["eps": 1e-3, "affine": true]),
      ("dropout_op", .null), ("dropout_op_kwargs", .null), ("nonlin", "torch.nn.LeakyReLU"),
      ("nonlin_kwargs", ["inplace": true]),
    ]
    for (key, value) in changes {
      members.removeAll { $0.0 == key }
      if let value { members.append((key, value)) }
    }
    return .object(members.map { (key: $0.0, value: $0.1) })
  }

  private func parse(
    _ changes: [String: ConfigurationValue?] = [:], network: String = "x.unet.PlainConvUNet"
  ) throws -> UNetArchitecture {
    try UNetArchitecture(
      networkClassName: network, arguments: arguments(changes),
      importedArguments: ["conv_op", "norm_op", "dropout_op", "nonlin"])
  }

  @Test func scalarsSpreadOverStagesAndAxes() throws {
    let architecture = try parse()
    #expect(
      architecture.stages == [
        .init(features: 4, kernelSize: [3, 3, 3], stride: [1, 1, 1], blockCount: 2),
        .init(features: 8, kernelSize: [3, 3, 3], stride: [1, 2, 2], blockCount: 1),
      ])
    #expect(architecture.decoderBlockCounts == [2])
    #expect(architecture.normalization == .instance(epsilon: 1e-3, affine: true))
    #expect(architecture.activation == .leakyReLU(negativeSlope: 0.01))
    #expect(!architecture.deepSupervision && architecture.dropout == nil && architecture.hasConvolutionBias)
    #expect(architecture.requiredDivisors == [1, 2, 2])
  }

  @Test func defaultsAreTheReferencesOwn() throws {
    let architecture = try parse([
      "conv_bias": nil, "norm_op_kwargs": ConfigurationValue.null, "nonlin": "torch.nn.ReLU",
    ])
    #expect(!architecture.hasConvolutionBias)
    #expect(architecture.normalization == .instance(epsilon: 1e-5, affine: false))
    #expect(architecture.activation == .relu)
    let batch = try parse(["norm_op": "torch.nn.BatchNorm3d", "norm_op_kwargs": ["momentum": .null]])
    #expect(
      batch.normalization == .batch(epsilon: 1e-5, momentum: nil, affine: true, tracksRunningStatistics: true))
    let dropout = try parse(["dropout_op": "torch.nn.Dropout3d", "dropout_op_kwargs": ["p": 0.1, "inplace": true]])
    #expect(dropout.dropout == .init(probability: 0.1, isChannelwise: true))
  }

  @Test(
    arguments: [
      ("squeeze_excitation", true, "squeeze_excitation"), ("features_per_stage", [1, 2, 3], "features_per_stage"),
      ("conv_op", "torch.nn.Conv1d", "Conv1d"), ("norm_op", "torch.nn.GroupNorm", "GroupNorm"),
      ("nonlin", "torch.nn.GELU", "GELU"), ("dropout_op", "torch.nn.AlphaDropout", "AlphaDropout"),
      ("n_stages", nil, "n_stages"), ("strides", [1, [1, 2]], "strides[1]"), ("nonlin_kwargs", ["slope": 1], "slope"),
      ("n_conv_per_stage", "two", "two"), ("kernel_sizes", 0, "kernel_sizes"), ("n_stages", 1, "n_stages"),
    ] as [(String, ConfigurationValue?, String)])
  func mistakesAreNamed(_ key: String, _ value: ConfigurationValue?, _ expected: String) throws {
    let error = try #require(throws: ArchitectureError.self) { try parse([key: value]) }
    #expect(error.description.contains(expected), "\(error)")
  }

  @Test func unknownNetworksAreNamed() throws {
    let error = try #require(throws: ArchitectureError.self) { try parse(network: "x.primus.PrimusM") }
    #expect(error.description.contains("PrimusM") && error.description.contains("PlainConvUNet"))
    #expect(throws: ArchitectureError.self) { try parse(network: "x.unet.ResidualEncoderUNet") }
  }
}
