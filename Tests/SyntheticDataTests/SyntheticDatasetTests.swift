import Datasets
import Foundation
import SyntheticData
import Testing
import Volumes

@Suite struct SyntheticDatasetTests {
  private let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
  private let settings = SyntheticDatasetSettings(
    datasetName: "Dataset902_Small", seed: 7, trainingCases: 2, testCases: 1, fieldOfView: [32, 36, 40],
    spacings: [[1, 1, 1], [2, 1, 1]], noise: 0.05, biasField: 0.2)

  @Test func writesADatasetThatReadsBack() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let dataset = try SyntheticDataset.write(settings, inRawFolder: folder)
    let description = try DatasetDescription(contentsOf: dataset.appendingPathComponent("dataset.json"))
    let labelManager = try LabelManager(description)
    #expect(labelManager.foregroundLabels == [1, 2])
    let cases = try DatasetFolders.trainingCases(rawFolder: dataset, description: description)
    #expect(cases.map(\.identifier) == ["case_000", "case_001"])
    let reader = SimpleITKReaderWriter()
    let expectedShapes = [[1, 32, 36, 40], [1, 16, 36, 40]]
    for (item, shape) in zip(cases, expectedShapes) {
      let (image, properties) = try reader.readImages(item.images)
      let (labels, _) = try reader.readSegmentation(#require(item.label))
      #expect(image.shape == shape && labels.shape == shape)
      #expect(image.elements.allSatisfy { $0.isFinite })
      #expect(properties.spacing == (shape[1] == 16 ? [2, 1, 1] : [1, 1, 1]))
      #expect(Set(labels.elements) == [0, 1, 2])
      // The organs are brighter than what surrounds them, the inner one most.
      let means = (0...2).map { label -> Float in
        let values = zip(image.elements, labels.elements).filter { $0.1 == label }.map(\.0)
        return values.reduce(0, +) / Float(values.count)
      }
      #expect(means[0] < means[1] && means[1] < means[2])
    }
    let held = try FileManager.default.contentsOfDirectory(atPath: dataset.appendingPathComponent("imagesTs").path)
    #expect(held == ["case_002_0000.nii.gz"])
  }

  @Test func theSameSettingsGiveTheSameFiles() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let files = try ["a", "b"].map { name in
      let dataset = try SyntheticDataset.write(settings, inRawFolder: folder.appendingPathComponent(name))
      return try SimpleITKReaderWriter().readImages([dataset.appendingPathComponent("imagesTr/case_001_0000.nii.gz")]).0
    }
    #expect(files[0] == files[1])
  }

  @Test func badSettingsNameFileAndProblem() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let file = folder.appendingPathComponent("settings.json")
    try Data("{}".utf8).write(to: file)
    let missing = #expect(throws: SyntheticDataError.self) { try SyntheticDatasetSettings(contentsOf: file) }
    #expect(missing?.description.contains(file.path) == true)
    var wrong = settings
    wrong.spacings = [[0, 1, 1]]
    try JSONEncoder().encode(wrong).write(to: file)
    let invalid = #expect(throws: SyntheticDataError.self) { try SyntheticDatasetSettings(contentsOf: file) }
    #expect(invalid?.description.contains("spacings") == true)
  }
}
