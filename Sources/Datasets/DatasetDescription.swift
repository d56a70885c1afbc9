import Foundation
import OrderedCollections

/// The value of a label in `dataset.json`: one number, or the list of numbers that make a region.
public enum LabelValue: Hashable, Sendable {
  case label(Int)
  case region([Int])

  /// The label numbers the value covers, in the order written.
  public var numbers: [Int] {
    switch self {
    case .label(let number): [number]
    case .region(let numbers): numbers
    }
  }
}

/// What `dataset.json` says.
///
/// Keys this type doesn't know are kept in ``json``, which is what ``write(to:)`` writes.
public struct DatasetDescription: Sendable, Hashable {
  /// A case of the explicit `dataset` list; paths as written, not yet resolved.
  public struct ListedCase: Sendable, Hashable {
    public let identifier: String
    public let images: [String]
    public let label: String?
  }

  /// The names of the input channels (`channel_names`, or `modality` in old files), in the order of the file.
  public let channelNames: [String]
  /// Label names and values, in the order of the file; the ignore label is the one named `ignore`.
  public let labels: OrderedDictionary<String, LabelValue>
  public let regionsClassOrder: [Int]?
  /// The ending of image and segmentation files with its dot, such as `.nii.gz`.
  public let fileEnding: String
  /// `numTraining`; planning needs it, prediction doesn't.
  public let trainingCaseCount: Int?
  /// `overwrite_image_reader_writer`, `nil` if absent or `"None"`.
  public let readerWriterName: String?
  /// The explicit list of cases, `nil` if the cases are the files in `imagesTr`.
  public let listedCases: [ListedCase]?
  /// Remarks for the user: an old key, a key that has no effect.
  public let remarks: [String]
  /// The whole file.
  public let json: JSONValue.Object
  /// Where it was read from.
  public let file: String?

  public init(contentsOf file: URL) throws {
    try self.init(JSONField(contentsOf: file))
  }

  public init(json: JSONValue, file: String? = nil) throws {
    try self.init(JSONField(json, file: file))
  }

  private init(_ root: JSONField) throws {
    json = try root.object()
    file = root.file
    var remarks: [String] = []
    if let names = try root.optionalField("channel_names") {
      channelNames = try names.entries().map { try $0.field.string() }
    } else if let names = try root.optionalField("modality") {
      channelNames = try names.entries().map { try $0.field.string() }
      remarks.append("'modality' is the old name of 'channel_names'; rename it in dataset.json")
    } else {
      throw DatasetError(
        .missingKey, file: root.file, problem: "the key 'channel_names' is missing",
        advice: "Name the input channels, for example \"channel_names\": {\"0\": \"CT\"}")
    }
    guard !channelNames.isEmpty else {
      throw root.invalid("'channel_names' is empty", advice: "Name each input channel, from \"0\" on")
    }

    let labelsField = try root.field("labels")
    var labels = OrderedDictionary<String, LabelValue>()
    for (name, field) in try labelsField.entries() {
      if field.value.array != nil {
        labels[name] = .region(try field.elements().map(Self.labelNumber))
      } else {
        labels[name] = .label(try Self.labelNumber(field))
      }
    }
    self.labels = labels
    regionsClassOrder = try root.optionalField("regions_class_order")?.ints()

    fileEnding = try root.field("file_ending").string()
    guard !fileEnding.isEmpty else {
      throw root.invalid("'file_ending' is empty", advice: "Give the ending with its dot, such as \".nii.gz\"")
    }
    trainingCaseCount = try root.optionalField("numTraining")?.int()
    if let name = try root.optionalField("overwrite_image_reader_writer")?.string(), name != "None" {
      readerWriterName = name
    } else {
      readerWriterName = nil
    }
    listedCases = try root.optionalField("dataset")?.entries().map { identifier, field in
      ListedCase(
        identifier: identifier, images: try field.field("images").strings(),
        label: try field.optionalField("label")?.string())
    }
    if json["nnUNet_extTrainer"] != nil {
      remarks.append("'nnUNet_extTrainer' has no effect here: trainers from outside can't be loaded")
    }
    self.remarks = remarks
  }

  /// Python's `int(...)` of a label: old files write numbers as strings.
  private static func labelNumber(_ field: JSONField) throws -> Int {
    if let text = field.value.string, let number = Int(text) { return number }
    guard let number = field.value.int else { throw field.wrongType("a label number, or a list of label numbers") }
    return number
  }

  /// `numTraining` where it is needed.
  public func requireTrainingCaseCount() throws -> Int {
    guard let trainingCaseCount else {
      throw DatasetError(
        .missingKey, file: file, problem: "the key 'numTraining' is missing",
        advice: "Add the number of training cases to dataset.json")
    }
    return trainingCaseCount
  }

  /// Writes the file with all keys it was read with.
  public func write(to file: URL) throws {
    try JSONValue.object(json).write(to: file)
  }
}
