import Datasets
import NeuralNetworks

extension ConfigurationValue {
  /// The same value for the network builder, which knows no JSON.
  package init(_ json: JSONValue) {
    switch json {
    case .null: self = .null
    case .bool(let value): self = .bool(value)
    case .integer(let value): self = .integer(value)
    case .number(let value): self = .number(value)
    case .string(let value): self = .string(value)
    case .array(let values): self = .array(values.map { ConfigurationValue($0) })
    case .object(let members): self = .object(members.map { (key: $0.key, value: ConfigurationValue($0.value)) })
    }
  }
}

extension UNet {
  /// The network that a configuration of the plans describes, for the channels and labels of a data set.
  /// - Parameter trainerName: of nnU-Net's trainers, `nnUNetTrainerBN` changes the network that the plans describe: it
  ///   puts batch normalization in the place of the plans' normalization.
  /// - Throws: `ArchitectureError` or ``DatasetError`` if the plans describe none.
  public init(
    configuration: PlannedConfiguration, datasetDescription: DatasetDescription, plansFile: String?,
    trainerName: String? = nil
  ) throws {
    var arguments = configuration.architecture.archKwargs
    if trainerName == "nnUNetTrainerBN", case .object(var members) = arguments {
      members["norm_op"] = .string("torch.nn.modules.batchnorm.BatchNorm\(configuration.patchSize.count)d")
      members["norm_op_kwargs"] = ["eps": 1e-5, "affine": true]
      arguments = .object(members)
    }
    let architecture = try UNetArchitecture(
      networkClassName: configuration.architecture.networkClassName, arguments: ConfigurationValue(arguments),
      importedArguments: configuration.architecture.kwRequiresImport)
    let labels = try LabelManager(datasetDescription)
    let divisors = architecture.requiredDivisors
    guard
      configuration.patchSize.count == architecture.dimensions,
      zip(configuration.patchSize, divisors).allSatisfy({ $0 % $1 == 0 })
    else {
      throw DatasetError(
        .invalidValue, file: plansFile,
        problem: "configuration '\(configuration.name)': the patch size \(configuration.patchSize) does not suit a "
          + "\(architecture.dimensions)-dimensional network that needs multiples of \(divisors)",
        advice: "Correct patch_size, or plan the experiment again")
    }
    self.init(
      architecture,
      inputChannels: labels.inputChannelCount(
        channels: datasetDescription.channelNames.count, configuration: configuration),
      headCount: labels.segmentationHeadCount)
  }
}
