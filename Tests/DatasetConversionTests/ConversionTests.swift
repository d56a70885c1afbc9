import Archives
import DatasetConversion
import Datasets
import Foundation
import TensorCore
import Testing
import Volumes

@Suite struct ConversionTests {
  private let root: URL
  private let folders: DatasetFolders

  init() throws {
    root = FileManager.default.temporaryDirectory.appendingPathComponent("conversion-\(UUID())")
    folders = DatasetFolders(
      raw: root.appendingPathComponent("raw"), preprocessed: root.appendingPathComponent("pre"), results: nil)
    try FileManager.default.createDirectory(at: folders.requireRaw(), withIntermediateDirectories: true)
  }

  private func cleanUp() { try? FileManager.default.removeItem(at: root) }

  private static func data(_ base64: String) throws -> Data {
    try #require(Data(base64Encoded: base64, options: .ignoreUnknownCharacters))
  }

  /// A task of two training images, one test image and two segmentations.
  private func makeTask(_ name: String = "Task05_Prostate", description: String = Fixtures.description) throws -> URL {
    let task = root.appendingPathComponent(name)
    for subfolder in ["imagesTr", "imagesTs", "labelsTr"] {
      try FileManager.default.createDirectory(
        at: task.appendingPathComponent(subfolder), withIntermediateDirectories: true)
    }
    try Data(description.utf8).write(to: task.appendingPathComponent("dataset.json"))
    try Self.data(Fixtures.swapped).write(to: task.appendingPathComponent("imagesTr/p_0.nii.gz"))
    try Self.data(Fixtures.scaled).write(to: task.appendingPathComponent("imagesTr/p_1.nii.gz"))
    // One volume of an image is one of three dimensions.
    try Self.data(Fixtures.swappedVolumes[1]).write(to: task.appendingPathComponent("imagesTs/p_2.nii.gz"))
    for index in 0..<2 {
      try Self.data(Fixtures.swappedVolumes[index]).write(to: task.appendingPathComponent("labelsTr/p_\(index).nii.gz"))
    }
    for name in ["._p_0.nii.gz", "_p.nii.gz", "notes.txt"] {
      try Data("x".utf8).write(to: task.appendingPathComponent("imagesTr").appendingPathComponent(name))
    }
    return task
  }

  private func files(_ folder: URL) throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: folder.path).filter { $0.contains(".") }.sorted()
  }

  @Test func tasksOfTheDecathlonAreConvertedAsByNnUNet() throws {
    defer { cleanUp() }
    let conversion = try MSDConversion(sourceFolder: makeTask(), number: nil, folders: folders)
    #expect(conversion.remarks.count == 1 && conversion.remarks[0].contains("'numTraining' in dataset.json is 6"))
    #expect(try conversion.run(pool: WorkerPool(threads: 2)).isEmpty)
    let made = try folders.rawFolder("Dataset005_Prostate")
    #expect(
      try files(made) == [
        "dataset.json", "imagesTr/p_0_0000.nii.gz", "imagesTr/p_0_0001.nii.gz", "imagesTr/p_1_0000.nii.gz",
        "imagesTr/p_1_0001.nii.gz", "imagesTs/p_2_0000.nii.gz", "labelsTr/p_0.nii.gz", "labelsTr/p_1.nii.gz",
      ])
    #expect(
      try String(contentsOf: made.appendingPathComponent("dataset.json"), encoding: .utf8)
        == Fixtures.convertedDescription)
    let reader = SimpleITKReaderWriter()
    let expected = root.appendingPathComponent("expected.nii.gz")
    for (name, volumes) in [("p_0", Fixtures.swappedVolumes), ("p_1", Fixtures.scaledVolumes)] {
      for (channel, volume) in volumes.enumerated() {
        try Self.data(volume).write(to: expected)
        let file = made.appendingPathComponent("imagesTr/\(name)_000\(channel).nii.gz")
        let (a, b) = (try reader.readImages([file]), try reader.readImages([expected]))
        #expect(a.0.shape == [1, 3, 4, 5] && a.0.elements.allSatisfy(\.isFinite))
        #expect(a.0 == b.0, "\(name) \(channel)")
        #expect(a.1 == b.1, "\(name) \(channel)")
        // The voxels' type, the spacing and the scaling; the geometry was compared above.
        let header = try [file, expected].map { Array(try Gzip.decompress(Array(Data(contentsOf: $0)))[70..<124]) }
        #expect(header[0] == header[1], "\(name) \(channel)")
      }
    }
    let copied = try Data(contentsOf: made.appendingPathComponent("imagesTs/p_2_0000.nii.gz"))
    #expect(try copied == Self.data(Fixtures.swappedVolumes[1]))
  }

  @Test func numbersThatAreTakenAreRefused() throws {
    defer { cleanUp() }
    let task = try makeTask()
    try FileManager.default.createDirectory(
      at: folders.preprocessedFolder("Dataset005_Other"), withIntermediateDirectories: true)
    let error = #expect(throws: DatasetError.self) {
      try MSDConversion(sourceFolder: task, number: nil, folders: folders)
    }
    #expect(error?.description.contains("Dataset005_Other") == true)
    #expect(error?.description.contains("-overwrite_id") == true)
    let other = try MSDConversion(sourceFolder: task, number: 1077, folders: folders)
    #expect(other.datasetName == "Dataset1077_Prostate")
  }

  @Test func oneBadFileDoesNotStopTheOthersAndIsDoneLater() throws {
    defer { cleanUp() }
    let task = try makeTask()
    let bad = task.appendingPathComponent("imagesTr/p_1.nii.gz")
    let good = try Data(contentsOf: bad)
    try good.prefix(120).write(to: bad)
    let made = try folders.rawFolder("Dataset005_Prostate")
    let failures = try MSDConversion(sourceFolder: task, number: nil, folders: folders).run(pool: .serial)
    #expect(failures.map(\.identifier) == ["p_1.nii.gz"])
    #expect(failures.first?.reason.contains("p_1.nii.gz") == true)
    // No dataset.json, so that nobody takes it for a whole data set; no half-written file.
    #expect(
      try files(made) == [
        "imagesTr/p_0_0000.nii.gz", "imagesTr/p_0_0001.nii.gz", "imagesTs/p_2_0000.nii.gz", "labelsTr/p_0.nii.gz",
        "labelsTr/p_1.nii.gz",
      ])
    let kept = made.appendingPathComponent("imagesTr/p_0_0001.nii.gz")
    let date = FileCopy.modificationDate(kept)
    try good.write(to: bad)
    #expect(try MSDConversion(sourceFolder: task, number: nil, folders: folders).run(pool: .serial).isEmpty)
    #expect(try files(made).count == 8)
    #expect(FileCopy.modificationDate(kept) == date)
  }

  @Test func foldersThatAreNoTasks() throws {
    defer { cleanUp() }
    let task = try makeTask("Prostate")
    let name = #expect(throws: DatasetError.self) {
      try MSDConversion(sourceFolder: task, number: 5, folders: folders)
    }
    #expect(name?.description.contains("Task05_Prostate") == true)
    try FileManager.default.removeItem(at: task.appendingPathComponent("imagesTs"))
    let missing = #expect(throws: DatasetError.self) {
      try MSDConversion(sourceFolder: task, number: 5, folders: folders)
    }
    #expect(missing?.file?.hasSuffix("imagesTs") == true)
    for (labels, word) in [
      ("{\"background\": 0}", "needs no conversion"), ("{\"0\": \"a\", \"1\": \"a\"}", "two labels"), ("[]", "object"),
    ] {
      let description = "{\"modality\": {\"0\": \"T2\"}, \"labels\": \(labels)}"
      let other = try makeTask("Task06_Other", description: description)
      let error = #expect(throws: DatasetError.self) {
        try MSDConversion(sourceFolder: other, number: nil, folders: folders)
      }
      #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
    }
  }

  @Test func oldDatasetsAreConvertedAsByNnUNet() throws {
    defer { cleanUp() }
    let task = try makeTask("Task004_Hippocampus", description: Fixtures.oldDescription)
    try FileManager.default.createDirectory(
      at: task.appendingPathComponent("labelsVal"), withIntermediateDirectories: true)
    try Data("a".utf8).write(to: task.appendingPathComponent("labelsVal/a.nii.gz"))
    let conversion = try OldDatasetConversion(sourceFolder: task, datasetName: "Dataset014_H", folders: folders)
    #expect(try conversion.run(pool: .serial).isEmpty)
    let made = try folders.rawFolder("Dataset014_H")
    #expect(
      try String(contentsOf: made.appendingPathComponent("dataset.json"), encoding: .utf8)
        == Fixtures.convertedOldDescription)
    #expect(
      try files(made) == [
        "dataset.json", "imagesTr/_p.nii.gz", "imagesTr/notes.txt", "imagesTr/p_0.nii.gz", "imagesTr/p_1.nii.gz",
        "imagesTs/p_2.nii.gz", "labelsTr/p_0.nii.gz", "labelsTr/p_1.nii.gz", "labelsVal/a.nii.gz",
      ])
    for file in ["imagesTr/p_0.nii.gz", "labelsVal/a.nii.gz"] {
      #expect(
        try Data(contentsOf: made.appendingPathComponent(file)) == Data(contentsOf: task.appendingPathComponent(file)))
    }
    for (name, word) in [("Dataset014_H", "is taken"), ("Dataset014_I", "is taken"), ("Hippocampus", "no name")] {
      let error = #expect(throws: DatasetError.self) {
        try OldDatasetConversion(sourceFolder: task, datasetName: name, folders: folders)
      }
      #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
    }
  }
}
