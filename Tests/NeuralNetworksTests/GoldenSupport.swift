import Datasets
import Foundation
import HDF5Files
import NeuralNetworks
import TensorCore
import TensorTestSupport
import Testing

extension ConfigurationValue {
  init(_ json: JSONValue) {
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

extension UNetArchitecture {
  /// From the JSON of plans under `architecture`.
  init(json: JSONValue, deepSupervision: Bool) throws {
    try self.init(
      networkClassName: json["network_class_name"]?.string ?? "",
      arguments: ConfigurationValue(json["arch_kwargs"] ?? .null),
      importedArguments: json["_kw_requires_import"]?.array?.compactMap(\.string) ?? [],
      deepSupervision: deepSupervision)
  }
}

/// Turns `[N, C, spatial]` elements into `[N, spatial, C]`.
func movingChannelsLast<Element>(_ elements: [Element], _ shape: [Int]) -> (elements: [Element], shape: [Int]) {
  let (samples, channels) = (shape[0], shape[1])
  let voxels = shape.dropFirst(2).reduce(1, *)
  var result: [Element] = []
  result.reserveCapacity(elements.count)
  for sample in 0..<samples {
    for voxel in 0..<voxels {
      for channel in 0..<channels { result.append(elements[(sample * channels + channel) * voxels + voxel]) }
    }
  }
  return (result, [samples] + shape.dropFirst(2) + [channels])
}

extension Tensor {
  init<Element: TensorElement & HDF5Element>(channelsFirst array: HDF5Array<Element>) {
    let (elements, shape) = movingChannelsLast(array.elements, array.shape)
    self.init(elements, shape: Shape(shape))
  }
}

extension HDF5Group {
  func tensor(_ name: String) throws -> Tensor {
    let array = try read(name, as: Float.self)
    return Tensor(array.elements, shape: Shape(array.shape))
  }

  /// Activations `[N, C, spatial]` of the file as `[N, spatial, C]`.
  func activations(_ name: String) throws -> Tensor {
    Tensor(channelsFirst: try read(name, as: Float.self))
  }

  /// Labels `[N, 1, spatial]` as int16 `[N, spatial]`.
  func labels(_ name: String) throws -> Tensor {
    let array = try read(name, as: Int16.self)
    return Tensor(array.elements, shape: Shape([array.shape[0]] + array.shape.dropFirst(2)))
  }

  /// Regions `[N, R, spatial]` as uint8 `[N, spatial, R]`.
  func regions(_ name: String) throws -> Tensor {
    Tensor(channelsFirst: try read(name, as: UInt8.self))
  }

  /// Every dataset of the group with its name.
  func stateDictionary() throws -> [(name: String, value: Tensor)] {
    try names.map { (name: $0, value: try tensor($0)) }
  }
}

/// One network of `golden/networks`.
struct GoldenNetwork {
  let name: String
  let meta: JSONValue
  let network: UNet
  let weights: [(name: String, value: Tensor)]
  let data: HDF5Group

  static let names = [
    "plain2d", "plain3d_aniso", "plain3d_batchnorm", "plain3d_dropout", "plain3d_nobias_relu", "resenc2d",
    "resenc2d_batchnorm_dropout", "resenc3d", "resenc3d_aniso_2ch_regions",
  ]

  /// `nil` where the golden folder is missing.
  init?(_ name: String) throws {
    guard let folder = Golden.folder("networks/\(name)") else { return nil }
    self.name = name
    meta = try JSONValue(contentsOf: folder.appendingPathComponent("meta.json"))
    let architecture = try UNetArchitecture(
      json: JSONValue(contentsOf: folder.appendingPathComponent("architecture.json")), deepSupervision: true)
    network = UNet(
      architecture, inputChannels: meta["input_channels"]?.int ?? 0,
      headCount: meta["num_segmentation_heads"]?.int ?? 0)
    weights = try HDF5File.open(folder.appendingPathComponent("weights.h5").path).root.group("state_dict")
      .stateDictionary()
    data = try HDF5File.open(folder.appendingPathComponent("io.h5").path).root
  }

  func parameters() throws -> ParameterSet {
    try ParameterSet(layout: network.layout, loading: weights, from: name)
  }

  func strings(_ key: String) -> [String] { meta[key]?.array?.compactMap(\.string) ?? [] }
}

/// Compares tensors of one layout.
@discardableResult
func expectClose(
  _ actual: Tensor, _ expected: Tensor, absolute: Float = 0, relativeToMaximum: Float = 0, _ comment: String
) -> Float {
  TensorTestSupport.expectClose(
    actual.elements(), shape: actual.shape.extents, expected.elements(), shape: expected.shape.extents,
    absolute: absolute, relativeToMaximum: relativeToMaximum, comment)
}
