/// A resampling function of nnU-Net by name, with its keyword arguments.
public struct ResamplingFunction: Sendable, Hashable {
  /// `resample_data_or_seg_to_shape`, `resample_torch_fornnunet` or `no_resampling_hack` in plans of nnU-Net 2.8.1.
  public let name: String
  public let keywordArguments: JSONValue.Object

  public init(name: String, keywordArguments: JSONValue.Object) {
    self.name = name
    self.keywordArguments = keywordArguments
  }
}

/// The `architecture` of a planned configuration: a class of `dynamic_network_architectures` and its arguments.
public struct ArchitectureDescription: Sendable, Hashable {
  public let networkClassName: String
  public let archKwargs: JSONValue
  /// The arguments that name a class.
  public let kwRequiresImport: [String]

  public init(networkClassName: String, archKwargs: JSONValue, kwRequiresImport: [String]) {
    self.networkClassName = networkClassName
    self.archKwargs = archKwargs
    self.kwRequiresImport = kwRequiresImport
  }

  package init(_ field: JSONField) throws {
    networkClassName = try field.field("network_class_name").string()
    let arguments = try field.field("arch_kwargs")
    archKwargs = .object(try arguments.object())
    kwRequiresImport = try field.field("_kw_requires_import").strings()
  }

  /// The `architecture` object of a plans file.
  public init(json: JSONValue, file: String? = nil) throws {
    try self.init(JSONField(json, path: "architecture", file: file))
  }
}

/// One configuration of a plans file (`2d`, `3d_fullres`, ...), with `inherits_from` resolved.
///
/// Axes are those of the preprocessed images: Z, Y, X after `transpose_forward`; Y, X for 2d patches.
public struct PlannedConfiguration: Sendable, Hashable {
  public let name: String
  /// The folder of the preprocessed cases.
  public let dataIdentifier: String
  public let preprocessorName: String
  public let batchSize: Int
  /// In voxels; two numbers for 2d, three for 3d.
  public let patchSize: [Int]
  /// In voxels after resampling; may be halves.
  public let medianImageSizeInVoxels: [Double]
  /// In millimetres.
  public let spacing: [Double]
  /// nnU-Net's class names, one per channel, such as `ZScoreNormalization`.
  public let normalizationSchemes: [String]
  public let useMaskForNorm: [Bool]
  public let resamplingFnData: ResamplingFunction
  public let resamplingFnSeg: ResamplingFunction
  public let resamplingFnProbabilities: ResamplingFunction
  public let architecture: ArchitectureDescription
  public let batchDice: Bool
  /// The configuration whose prediction is an additional input (cascade).
  public let previousStage: String?
  /// The configurations that take this one's prediction as input.
  public let nextStages: [String]
  /// The whole configuration, unknown keys included.
  public let json: JSONValue.Object

  public var isTwoDimensional: Bool { patchSize.count == 2 }

  package init(name: String, _ original: JSONField) throws {
    let field = try Self.convertedFromOldFormat(original)
    self.name = name
    json = try field.object()
    dataIdentifier = try field.field("data_identifier").string()
    preprocessorName = try field.field("preprocessor_name").string()
    batchSize = try field.field("batch_size").int()
    patchSize = try field.field("patch_size").ints()
    medianImageSizeInVoxels = try field.field("median_image_size_in_voxels").doubles()
    spacing = try field.field("spacing").doubles()
    normalizationSchemes = try field.field("normalization_schemes").strings()
    useMaskForNorm = try field.field("use_mask_for_norm").bools()
    func function(_ key: String) throws -> ResamplingFunction {
      ResamplingFunction(
        name: try field.field(key).string(),
        keywordArguments: try field.optionalField(key + "_kwargs")?.object() ?? [:])
    }
    resamplingFnData = try function("resampling_fn_data")
    resamplingFnSeg = try function("resampling_fn_seg")
    resamplingFnProbabilities = try function("resampling_fn_probabilities")
    architecture = try ArchitectureDescription(field.field("architecture"))
    batchDice = try field.field("batch_dice").bool()
    previousStage = try field.optionalField("previous_stage")?.string()
    if let next = try field.optionalField("next_stage") {
      nextStages = try next.value.string.map { [$0] } ?? next.strings()
    } else {
      nextStages = []
    }
    try validate(field)
  }

  private func validate(_ field: JSONField) throws {
    func expect(_ condition: Bool, _ problem: String) throws {
      if !condition { throw field.invalid(problem, advice: "Correct the plans file, or plan the experiment again") }
    }
    try expect(batchSize > 0, "batch_size is \(batchSize), but must be at least 1")
    try expect(
      (2...3).contains(patchSize.count) && patchSize.allSatisfy { $0 > 0 },
      "patch_size is \(patchSize), but must be two or three positive numbers")
    try expect(
      spacing.count == patchSize.count && spacing.allSatisfy { $0 > 0 && $0.isFinite },
      "spacing is \(spacing), but must be one positive number per axis of the patch")
    try expect(
      normalizationSchemes.count == useMaskForNorm.count,
      "there are \(normalizationSchemes.count) normalization_schemes, but \(useMaskForNorm.count) use_mask_for_norm")
  }
}

extension PlannedConfiguration {
  /// Early nnU-Net v2 plans describe the U-Net with keys of their own; this gives them today's `architecture`.
  /// (nnU-Net: utilities/plans_handling/plans_handler.py, `ConfigurationManager`.)
  private static func convertedFromOldFormat(_ field: JSONField) throws -> JSONField {
    var json = try field.object()
    if json["architecture"] != nil { return field }
    let className = try field.field("UNet_class_name").string()
    let blocksKey: String
    let module: String
    switch className {
    case "PlainConvUNet": (blocksKey, module) = ("n_conv_per_stage", "unet")
    case "ResidualEncoderUNet": (blocksKey, module) = ("n_blocks_per_stage", "residual_unet")
    default:
      throw try field.field("UNet_class_name").invalid(
        "unknown network '\(className)' in plans of the old format",
        advice: "Only PlainConvUNet and ResidualEncoderUNet can be converted; plan the experiment again")
    }
    let blocks = try field.field("n_conv_per_stage_encoder").ints()
    let dimensions = try field.field("patch_size").elements().count
    let baseFeatures = try field.field("UNet_base_num_features").int()
    let maximumFeatures = try field.field("unet_max_num_features").int()
    var features: [Int] = []
    for stage in 0..<blocks.count {
      let doubled =
        stage == 0
        ? baseFeatures
        : min(features[stage - 1], maximumFeatures).multipliedReportingOverflow(by: 2)
          .partialValue
      features.append(min(doubled, maximumFeatures))
    }
    let arguments: JSONValue.Object = [
      "n_stages": .integer(blocks.count),
      "features_per_stage": JSONValue(features),
      "conv_op": .string("torch.nn.modules.conv.Conv\(dimensions)d"),
      "kernel_sizes": try field.field("conv_kernel_sizes").value,
      "strides": try field.field("pool_op_kernel_sizes").value,
      blocksKey: JSONValue(blocks),
      "n_conv_per_stage_decoder": try field.field("n_conv_per_stage_decoder").value,
      "conv_bias": true,
      "norm_op": .string("torch.nn.modules.instancenorm.InstanceNorm\(dimensions)d"),
      "norm_op_kwargs": ["eps": 1e-5, "affine": true],
      "dropout_op": nil,
      "dropout_op_kwargs": nil,
      "nonlin": "torch.nn.LeakyReLU",
      "nonlin_kwargs": ["inplace": true],
    ]
    for key in [
      "UNet_class_name", "UNet_base_num_features", "n_conv_per_stage_encoder", "n_conv_per_stage_decoder",
      "num_pool_per_axis", "pool_op_kernel_sizes", "conv_kernel_sizes", "unet_max_num_features",
    ] {
      json.removeValue(forKey: key)
    }
    json["architecture"] = [
      "network_class_name": .string("dynamic_network_architectures.architectures.\(module).\(className)"),
      "arch_kwargs": .object(arguments),
      "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    ]
    return JSONField(.object(json), path: field.path, file: field.file)
  }
}
