import Datasets
import Foundation

/// What planning needs to know about a data set: the contents of `dataset_fingerprint.json`.
public struct DatasetFingerprint: Sendable, Equatable {
  /// Millimetres per axis (Z, Y, X) of every case.
  public let spacings: [[Double]]
  /// Voxels per axis of every case after cropping to nonzero.
  public let shapesAfterCrop: [[Int]]
  /// By channel number.
  public let foregroundIntensityProperties: [Int: ForegroundIntensityProperties]
  /// Median over the cases of voxels after cropping divided by voxels before.
  public let medianRelativeSizeAfterCropping: Double
  /// The intensity properties as read or written, for the plans file.
  package let intensityPropertiesJSON: JSONValue

  public init(
    spacings: [[Double]], shapesAfterCrop: [[Int]],
    foregroundIntensityProperties: [ForegroundIntensityProperties], medianRelativeSizeAfterCropping: Double
  ) {
    self.spacings = spacings
    self.shapesAfterCrop = shapesAfterCrop
    var byChannel: [Int: ForegroundIntensityProperties] = [:]
    var json: JSONValue.Object = [:]
    for (channel, properties) in foregroundIntensityProperties.enumerated() {
      byChannel[channel] = properties
      json[String(channel)] = properties.json
    }
    self.foregroundIntensityProperties = byChannel
    self.medianRelativeSizeAfterCropping = medianRelativeSizeAfterCropping
    intensityPropertiesJSON = .object(json)
  }

  /// Reads `dataset_fingerprint.json`.
  /// - Throws: `DatasetError` if the file is missing, incomplete or makes no sense.
  public init(contentsOf file: URL) throws {
    guard FileManager.default.fileExists(atPath: file.path) else {
      throw DatasetError(
        .notFound, file: file.path, problem: "the data set has no fingerprint yet",
        advice: "Run nnUNetv2_extract_fingerprint or nnUNetv2_plan_and_preprocess")
    }
    try self.init(JSONField(contentsOf: file))
  }

  private init(_ root: JSONField) throws {
    spacings = try root.field("spacings").elements().map { try $0.doubles() }
    shapesAfterCrop = try root.field("shapes_after_crop").elements().map { try $0.ints() }
    medianRelativeSizeAfterCropping = try root.field("median_relative_size_after_cropping").double()
    let properties = try root.field("foreground_intensity_properties_per_channel")
    foregroundIntensityProperties = try ForegroundIntensityProperties.byChannel(properties)
    intensityPropertiesJSON = properties.value
    let advice = "Extract the fingerprint again"
    guard !spacings.isEmpty, spacings.count == shapesAfterCrop.count else {
      throw root.invalid(
        "there are \(spacings.count) spacings and \(shapesAfterCrop.count) shapes, but each case should have one of both",
        advice: advice)
    }
    for (index, spacing) in spacings.enumerated()
    where spacing.count != 3 || !spacing.allSatisfy({ $0 > 0 && $0.isFinite }) {
      throw root.invalid("spacings[\(index)] is \(spacing), but should be three positive numbers", advice: advice)
    }
    for (index, shape) in shapesAfterCrop.enumerated() where shape.count != 3 || !shape.allSatisfy({ $0 > 0 }) {
      throw root.invalid(
        "shapes_after_crop[\(index)] is \(shape), but should be three positive numbers", advice: advice)
    }
  }

  /// The file as nnU-Net writes it.
  public var json: JSONValue {
    [
      "foreground_intensity_properties_per_channel": intensityPropertiesJSON,
      "median_relative_size_after_cropping": .number(medianRelativeSizeAfterCropping),
      "shapes_after_crop": JSONValue(shapesAfterCrop),
      "spacings": .array(spacings.map { JSONValue($0) }),
    ]
  }

  /// Writes `dataset_fingerprint.json`; the file appears whole or not at all.
  public func write(to file: URL) throws {
    try json.write(to: file)
  }
}
