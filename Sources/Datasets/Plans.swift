import Foundation

/// Statistics of the foreground voxels of one channel over the whole data set.
public struct ForegroundIntensityProperties: Sendable, Hashable {
  public let mean, median, std, min, max, percentile_99_5, percentile_00_5: Double

  public init(
    mean: Double, median: Double, std: Double, min: Double, max: Double, percentile_99_5: Double,
    percentile_00_5: Double
  ) {
    self.mean = mean
    self.median = median
    self.std = std
    self.min = min
    self.max = max
    self.percentile_99_5 = percentile_99_5
    self.percentile_00_5 = percentile_00_5
  }

  package init(_ field: JSONField) throws {
    func value(_ key: String) throws -> Double { try field.field(key).double() }
    try self.init(
      mean: value("mean"), median: value("median"), std: value("std"), min: value("min"), max: value("max"),
      percentile_99_5: value("percentile_99_5"), percentile_00_5: value("percentile_00_5"))
  }

  /// With the keys in alphabetical order, as nnU-Net writes them.
  package var json: JSONValue {
    [
      "max": .number(max), "mean": .number(mean), "median": .number(median), "min": .number(min),
      "percentile_00_5": .number(percentile_00_5), "percentile_99_5": .number(percentile_99_5), "std": .number(std),
    ]
  }

  /// The properties of every channel, by channel number.
  package static func byChannel(_ field: JSONField) throws -> [Int: ForegroundIntensityProperties] {
    var properties: [Int: ForegroundIntensityProperties] = [:]
    for (key, field) in try field.entries() {
      guard let channel = Int(key) else {
        throw field.invalid("'\(key)' is not a channel number", advice: "Correct the file, or have it written anew")
      }
      properties[channel] = try ForegroundIntensityProperties(field)
    }
    return properties
  }
}

/// A plans file: how a data set is preprocessed, and which networks are trained on it.
public struct Plans: Sendable {
  public let datasetName: String
  public let plansName: String
  /// Z, Y, X in millimetres, after `transposeForward`.
  public let originalMedianSpacingAfterTransposition: [Double]
  public let originalMedianShapeAfterTransposition: [Double]
  /// nnU-Net's class name, such as `SimpleITKIO`.
  public let imageReaderWriter: String
  /// Axis `i` of a preprocessed image is axis `transposeForward[i]` of the file's.
  public let transposeForward: [Int]
  public let transposeBackward: [Int]
  public let experimentPlannerName: String?
  public let labelManagerName: String
  /// By channel number.
  public let foregroundIntensityProperties: [Int: ForegroundIntensityProperties]
  public let configurationNames: [String]
  /// The whole file, unknown keys included.
  public let json: JSONValue.Object
  public let file: String?

  private let configurations: JSONField

  public init(contentsOf file: URL) throws {
    try self.init(JSONField(contentsOf: file))
  }

  public init(json: JSONValue, file: String? = nil) throws {
    try self.init(JSONField(json, file: file))
  }

  private init(_ root: JSONField) throws {
    json = try root.object()
    file = root.file
    datasetName = try root.field("dataset_name").string()
    plansName = try root.field("plans_name").string()
    originalMedianSpacingAfterTransposition = try root.field("original_median_spacing_after_transp").doubles()
    originalMedianShapeAfterTransposition = try root.field("original_median_shape_after_transp").doubles()
    imageReaderWriter = try root.field("image_reader_writer").string()
    let forward = try Self.permutation(root.field("transpose_forward"))
    let backward = try Self.permutation(root.field("transpose_backward"))
    guard forward.count == backward.count, forward.indices.allSatisfy({ forward[backward[$0]] == $0 }) else {
      throw root.invalid(
        "transpose_backward \(backward) doesn't undo transpose_forward \(forward)",
        advice: "Plan the experiment again")
    }
    transposeForward = forward
    transposeBackward = backward
    experimentPlannerName = try root.optionalField("experiment_planner_used")?.string()
    labelManagerName = try root.optionalField("label_manager")?.string() ?? "LabelManager"
    let properties =
      try root.optionalField("foreground_intensity_properties_per_channel")
      ?? root.optionalField("foreground_intensity_properties_by_modality")
      ?? root.field("foreground_intensity_properties_per_channel")
    foregroundIntensityProperties = try ForegroundIntensityProperties.byChannel(properties)
    configurations = try root.field("configurations")
    configurationNames = try Array(configurations.object().keys)
  }

  private static func permutation(_ field: JSONField) throws -> [Int] {
    let axes = try field.ints()
    guard axes.sorted() == Array(0..<axes.count) else {
      throw field.invalid("\(axes) is not an order of the axes", advice: "Plan the experiment again")
    }
    return axes
  }

  /// A configuration with everything it inherits.
  /// - Throws: ``DatasetError`` if there is none of that name, if it inherits from itself, or if it is incomplete.
  public func configuration(named name: String) throws -> PlannedConfiguration {
    let json = try resolved(name, visited: [])
    return try PlannedConfiguration(
      name: name, JSONField(.object(json), path: "configurations.\(name)", file: file))
  }

  private func resolved(_ name: String, visited: [String]) throws -> JSONValue.Object {
    guard configurationNames.contains(name) else {
      throw DatasetError(
        .notFound, file: file, problem: "there is no configuration '\(name)'",
        advice: "The configurations there are: \(configurationNames.joined(separator: ", "))")
    }
    guard !visited.contains(name) else {
      throw DatasetError(
        .invalidValue, file: file,
        problem: "the configuration '\(name)' inherits from itself (\((visited + [name]).joined(separator: " -> ")))",
        advice: "Correct 'inherits_from' in the plans file")
    }
    let own = try configurations.field(name)
    guard let parent = try own.optionalField("inherits_from")?.string() else { return try own.object() }
    var json = try resolved(parent, visited: visited + [name])
    for (key, value) in try own.object() { json[key] = value }
    return json
  }

  /// Writes the file with all keys it was read with.
  public func write(to file: URL) throws {
    try JSONValue.object(json).write(to: file)
  }
}
