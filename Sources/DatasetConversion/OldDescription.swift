import Datasets
import Foundation

/// `dataset.json` of the Medical Segmentation Decathlon and of nnU-Net version 1, which took over its form.
struct OldDescription {
  let root: JSONField
  let trainingCaseCount: Int?

  /// Reads `dataset.json` of a folder that must have these subfolders too.
  init(folder: URL, subfolders: [String]) throws {
    for name in subfolders {
      let subfolder = folder.appendingPathComponent(name)
      var isFolder: ObjCBool = false
      guard FileManager.default.fileExists(atPath: subfolder.path, isDirectory: &isFolder), isFolder.boolValue else {
        throw DatasetError(
          .notFound, file: subfolder.path, problem: "there is no such folder",
          advice: "The input folder must have \(subfolders.joined(separator: ", ")) and dataset.json")
      }
    }
    root = try JSONField(contentsOf: folder.appendingPathComponent("dataset.json"))
    trainingCaseCount = try root.optionalField("numTraining")?.int()
  }

  /// Label names with their numbers, which the old form has the other way round.
  private func labels() throws -> JSONValue {
    let field = try root.field("labels")
    var labels: JSONValue.Object = [:]
    for (number, name) in try field.entries() {
      guard let label = Int(number), let text = name.value.string else {
        throw field.invalid(
          "'\(number)': \(name.value.text(indent: nil)) is no number with a name",
          advice: "The old form is {\"0\": \"background\", ...}; a data set with names first needs no conversion")
      }
      guard labels[text] == nil else {
        throw field.invalid("two labels are named '\(text)'", advice: "Give every label a name of its own")
      }
      labels[text] = .integer(label)
    }
    return .object(labels)
  }

  /// The description in nnU-Net's present form.
  /// - Parameters:
  ///   - dropped: keys that are left out.
  ///   - added: the order in which `channel_names` and `file_ending` come at the end.
  func converted(dropping dropped: [String], adding added: [String]) throws -> JSONValue.Object {
    let channelNames = try root.field("modality")
    _ = try channelNames.entries().map { try $0.field.string() }
    var json = try root.object()
    json["labels"] = try labels()
    for key in dropped + ["modality"] + added { json[key] = nil }
    for key in added { json[key] = key == "file_ending" ? ".nii.gz" : channelNames.value }
    return json
  }
}
