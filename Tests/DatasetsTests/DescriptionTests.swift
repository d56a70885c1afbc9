import Datasets
import Foundation
import TensorTestSupport
import Testing

@Suite struct DescriptionTests {
  static func description(_ text: String) throws -> DatasetDescription {
    try DatasetDescription(json: JSONValue(parsing: text), file: "dataset.json")
  }

  @Test func labels() throws {
    let description = try Self.description(
      """
      {"channel_names": {"0": "CT", "1": "PET"}, "labels": {"background": 0, "b": 2, "a": 1, "ignore": 3},
       "numTraining": 7, "file_ending": ".nii.gz", "overwrite_image_reader_writer": "None", "more": [1]}
      """)
    #expect(description.channelNames == ["CT", "PET"])
    #expect(Array(description.labels.keys) == ["background", "b", "a", "ignore"])
    #expect(description.trainingCaseCount == 7)
    #expect(description.readerWriterName == nil)
    #expect(description.json["more"] == [1])
    let manager = try LabelManager(description)
    #expect(manager.allLabels == [0, 1, 2])
    #expect(manager.foregroundLabels == [1, 2])
    #expect(manager.ignoreLabel == 3)
    #expect(!manager.hasRegions)
    #expect(manager.segmentationHeadCount == 3)
    #expect(manager.inferenceNonlinearity == .softmax)
    #expect(manager.foregroundLabelsOrRegions == [[1], [2]])
  }

  @Test func regions() throws {
    let description = try Self.description(
      """
      {"channel_names": {"0": "T1"}, 
       "labels": {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "et": 3, "ignore": 4},
       "regions_class_order": [1, 2, 3], "numTraining": 7, "file_ending": ".nii.gz"}
      """)
    let manager = try LabelManager(description)
    #expect(manager.hasRegions)
    #expect(manager.foregroundRegions == [[1, 2, 3], [2, 3], [3]])
    #expect(manager.regionsClassOrder == [1, 2, 3])
    #expect(manager.allLabels == [0, 1, 2, 3])
    #expect(manager.segmentationHeadCount == 3)
    #expect(manager.inferenceNonlinearity == .sigmoid)
    let labels = try LabelManager(description, forceLabels: true)
    #expect(!labels.hasRegions)
    #expect(labels.segmentationHeadCount == 4)
  }

  @Test func oldModalityAndExplicitCases() throws {
    let description = try Self.description(
      """
      {"modality": {"0": "CT"}, "labels": {"background": "0", "a": "1"}, "file_ending": ".png",
       "nnUNet_extTrainer": "x", "overwrite_image_reader_writer": "SimpleITKIO",
       "dataset": {"c1": {"images": ["imagesTr/c1_0000.png", "$ROOT/x.png"], "label": "/l/c1.png"}}}
      """)
    #expect(description.channelNames == ["CT"])
    #expect(description.remarks.count == 2)
    #expect(description.readerWriterName == "SimpleITKIO")
    #expect(throws: DatasetError.self) { try description.requireTrainingCaseCount() }
    let cases = try DatasetFolders.trainingCases(
      rawFolder: URL(fileURLWithPath: "/raw/D"), description: description, environment: ["ROOT": "/data"])
    #expect(cases.map(\.identifier) == ["c1"])
    #expect(cases[0].images.map(\.path) == ["/raw/D/imagesTr/c1_0000.png", "/data/x.png"])
    #expect(cases[0].label?.path == "/l/c1.png")
    #expect(DatasetFolders.expandVariables("a/${ROOT}b$NONE/$", ["ROOT": "r"]) == "a/rb$NONE/$")
  }

  @Test(arguments: [
    "{\"labels\": {\"background\": 0}, \"file_ending\": \".png\"}",
    "{\"channel_names\": {}, \"labels\": {\"background\": 0}, \"file_ending\": \".png\"}",
    "{\"channel_names\": {\"0\": 1}, \"labels\": {\"background\": 0}, \"file_ending\": \".png\"}",
    "{\"channel_names\": {\"0\": \"a\"}, \"labels\": [0], \"file_ending\": \".png\"}",
    "{\"channel_names\": {\"0\": \"a\"}, \"labels\": {\"background\": 0.5}, \"file_ending\": \".png\"}",
    "{\"channel_names\": {\"0\": \"a\"}, \"labels\": {\"background\": 0}}",
    "[]",
  ])
  func badDescriptions(text: String) {
    let error = #expect(throws: DatasetError.self) { try Self.description(text) }
    #expect(error?.description.hasPrefix("dataset.json: ") == true)
  }

  @Test(arguments: [
    "{\"a\": 1}", "{\"background\": 1}", "{\"background\": [0]}", "{\"background\": 0, \"a\": [1, 2]}",
    "{\"background\": 0, \"a\": 1, \"ignore\": 1}", "{\"background\": 0, \"a\": 1, \"ignore\": 3}",
    "{\"background\": 0, \"a\": 1, \"ignore\": [2]}",
  ])
  func badLabels(labels: String) throws {
    let description = try Self.description(
      "{\"channel_names\": {\"0\": \"a\"}, \"labels\": \(labels), \"file_ending\": \".png\"}")
    #expect(throws: DatasetError.self) { try LabelManager(description) }
  }

  @Test func everyGoldenDescriptionAndPlansFileIsRead() throws {
    guard let folder = Golden.folder("") else { return }
    let files = try #require(FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil))
    var counts = (descriptions: 0, plans: 0)
    for case let file as URL in files where file.pathExtension == "json" {
      if file.lastPathComponent.hasSuffix("dataset.json") {
        let description = try DatasetDescription(contentsOf: file)
        #expect(try LabelManager(description).segmentationHeadCount > 0)
        counts.descriptions += 1
      } else if file.lastPathComponent.lowercased().contains("plans") {
        let plans = try Plans(contentsOf: file)
        for name in plans.configurationNames { _ = try plans.configuration(named: name) }
        // Reading and writing gives the same text, so nothing is lost and all numbers are formatted as in Python.
        let text = try String(contentsOf: file, encoding: .utf8)
        let indent = text.dropFirst(2).prefix { $0 == " " }.count
        #expect(JSONValue.object(plans.json).text(indent: indent) == text.trimmingCharacters(in: .newlines))
        counts.plans += 1
      }
    }
    #expect(counts.descriptions > 20 && counts.plans > 40)
  }
}
