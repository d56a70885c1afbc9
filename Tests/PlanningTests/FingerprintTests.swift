import Datasets
import Foundation
import Planning
import TensorCore
import TensorTestSupport
import Testing
import Volumes

@Suite struct FingerprintTests {
  private static func isClose(_ a: Double, _ b: Double, _ tolerance: Double) -> Bool {
    a.isFinite && b.isFinite && abs(a - b) <= tolerance * abs(b)
  }

  /// Tolerances: shapes and relative sizes exact, spacings 1e-7, statistics 1e-5 relative.
  @Test(arguments: [1, 3])
  func fingerprintsEqualTheReference(threads: Int) throws {
    guard let root = Golden.folder("fingerprint") else { return }
    var extractor = DatasetFingerprintExtractor()
    extractor.pool = WorkerPool(threads: threads)
    var count = 0
    for name in try FileManager.default.contentsOfDirectory(atPath: root.path).sorted() {
      let folder = root.appendingPathComponent(name)
      let raw = folder.appendingPathComponent("raw")
      let expectedFile = folder.appendingPathComponent("dataset_fingerprint.json")
      let expected = try DatasetFingerprint(contentsOf: expectedFile)
      let description = try DatasetDescription(contentsOf: raw.appendingPathComponent("dataset.json"))
      let reader = try ReaderWriters.choose(fileEnding: description.fileEnding, overwriteName: nil, exampleFile: nil)
      let found = try extractor.extract(
        cases: DatasetFolders.trainingCases(rawFolder: raw, description: description),
        channelCount: description.channelNames.count, reader: reader)
      #expect(found.shapesAfterCrop == expected.shapesAfterCrop, "\(name)")
      #expect(
        Self.isClose(found.medianRelativeSizeAfterCropping, expected.medianRelativeSizeAfterCropping, 1e-12), "\(name)")
      #expect(found.spacings.count == expected.spacings.count)
      for (a, b) in zip(found.spacings.flatMap { $0 }, expected.spacings.flatMap { $0 }) {
        #expect(Self.isClose(a, b, 1e-7), "\(name)")
      }
      #expect(found.foregroundIntensityProperties.count == expected.foregroundIntensityProperties.count)
      for (channel, b) in expected.foregroundIntensityProperties {
        let a = try #require(found.foregroundIntensityProperties[channel])
        #expect(a.min == b.min && a.max == b.max, "\(name) channel \(channel)")
        #expect(
          a.percentile_00_5 == b.percentile_00_5 && a.median == b.median && a.percentile_99_5 == b.percentile_99_5,
          "\(name) channel \(channel)")
        #expect(Self.isClose(a.mean, b.mean, 1e-5), "\(name) channel \(channel): mean \(a.mean), not \(b.mean)")
        #expect(Self.isClose(a.std, b.std, 1e-5), "\(name) channel \(channel): std \(a.std), not \(b.std)")
      }
      // The same keys, in the same order and formatting: a fingerprint that is read and written again doesn't change.
      let text = try String(contentsOf: expectedFile, encoding: .utf8)
      #expect(expected.json.text() == text, "\(name)")
      #expect(
        Array(try #require(found.json.object).keys) == Array(try #require(expected.json.object).keys), "\(name)")
      count += 1
    }
    #expect(count >= 3)
  }

  /// Cases listed in `dataset.json`, with paths that are relative, absolute or name a variable, old keys and all: the
  /// fingerprint is still that of nnU-Net.
  @Test func listedCasesAndOldKeys() throws {
    guard let folder = Golden.folder("fingerprint/two_channel_regions") else { return }
    let raw = folder.appendingPathComponent("raw")
    var json = try #require(JSONValue(contentsOf: raw.appendingPathComponent("dataset.json")).object)
    let names = try DatasetFolders.trainingCases(
      rawFolder: raw, description: DatasetDescription(json: .object(json))
    ).map(\.identifier)
    json["modality"] = json["channel_names"]
    json["channel_names"] = nil
    json["nnUNet_extTrainer"] = "mine"
    var listed: JSONValue.Object = [:]
    for (index, name) in names.enumerated() {
      let prefix = ["imagesTr", "$GOLDEN/imagesTr", raw.appendingPathComponent("imagesTr").path][index % 3]
      listed[name] = [
        "images": JSONValue((0..<2).map { "\(prefix)/\(name)_000\($0).nii.gz" }),
        "label": .string("./labelsTr/../labelsTr/\(name).nii.gz"),
      ]
    }
    json["dataset"] = .object(listed)
    let description = try DatasetDescription(json: .object(json))
    #expect(description.remarks.count == 2)
    let cases = try DatasetFolders.trainingCases(
      rawFolder: raw, description: description, environment: ["GOLDEN": raw.path])
    let found = try DatasetFingerprintExtractor().extract(
      cases: cases, channelCount: description.channelNames.count, reader: SimpleITKReaderWriter())
    let expected = try DatasetFingerprint(contentsOf: folder.appendingPathComponent("dataset_fingerprint.json"))
    #expect(found.shapesAfterCrop == expected.shapesAfterCrop && !found.shapesAfterCrop.isEmpty)
    for (channel, properties) in expected.foregroundIntensityProperties {
      let own = try #require(found.foregroundIntensityProperties[channel])
      #expect(own.min == properties.min && own.max == properties.max && own.median == properties.median)
      #expect(Self.isClose(own.mean, properties.mean, 1e-5) && Self.isClose(own.std, properties.std, 1e-5))
    }
  }

  private func makeDataset(_ body: (URL, DatasetFolders) throws -> Void) throws {
    let root = FileManager.default.temporaryDirectory.appendingPathComponent("fingerprint-\(UUID())")
    defer { try? FileManager.default.removeItem(at: root) }
    let folders = DatasetFolders(
      raw: root.appendingPathComponent("raw"), preprocessed: root.appendingPathComponent("pre"), results: nil)
    let raw = try folders.rawFolder("Dataset001_X")
    for name in ["imagesTr", "labelsTr"] {
      try FileManager.default.createDirectory(
        at: raw.appendingPathComponent(name), withIntermediateDirectories: true)
    }
    try SyntheticDataset.describe(raw, cases: 2)
    try body(raw, folders)
  }

  @Test func filesAreWrittenAndKept() throws {
    try makeDataset { raw, folders in
      for index in 0..<2 { try SyntheticDataset.writeCase("c\(index)", to: raw, seed: index) }
      var extractor = DatasetFingerprintExtractor()
      extractor.sampleCount = 10_000
      let first = try extractor.run(datasetName: "Dataset001_X", folders: folders, overwrite: true)
      #expect(first.shapesAfterCrop == [[5, 6, 7], [5, 6, 7]])
      // An existing file is kept unless it shall be overwritten.
      try FileManager.default.removeItem(at: raw.appendingPathComponent("imagesTr"))
      let second = try extractor.run(datasetName: "Dataset001_X", folders: folders, overwrite: false)
      #expect(second.foregroundIntensityProperties == first.foregroundIntensityProperties)
      #expect(throws: DatasetError.self) {
        try extractor.run(datasetName: "Dataset001_X", folders: folders, overwrite: true)
      }
    }
  }

  @Test func everyBadCaseIsNamed() throws {
    try makeDataset { raw, folders in
      try SyntheticDataset.writeCase("good", to: raw, seed: 1)
      try SyntheticDataset.writeCase("nan", to: raw, seed: 2, change: { $0.elements[$0.offset(0, 2, 2, 2)] = .nan })
      try SyntheticDataset.writeCase("shape", to: raw, seed: 3, labelShape: [1, 5, 6, 6])
      try Data("no image".utf8).write(to: raw.appendingPathComponent("imagesTr/broken_0000.nii.gz"))
      try FileManager.default.copyItem(
        at: raw.appendingPathComponent("labelsTr/good.nii.gz"),
        to: raw.appendingPathComponent("labelsTr/broken.nii.gz"))
      let error = #expect(throws: CaseFailures.self) {
        try DatasetFingerprintExtractor().run(datasetName: "Dataset001_X", folders: folders, overwrite: true)
      }
      #expect(error?.failures.map(\.identifier) == ["broken", "nan", "shape"])
      #expect(error?.description.contains("3 of 4 cases") == true)
      #expect(error?.description.contains("NaN") == true)
    }
  }

  @Test func noForegroundAtAll() throws {
    try makeDataset { raw, folders in
      try SyntheticDataset.writeCase("a", to: raw, seed: 1, labels: { _ in 0 })
      let error = #expect(throws: DatasetError.self) {
        try DatasetFingerprintExtractor().run(datasetName: "Dataset001_X", folders: folders, overwrite: true)
      }
      #expect(error?.description.contains("no case has a foreground voxel") == true)
    }
  }
}
