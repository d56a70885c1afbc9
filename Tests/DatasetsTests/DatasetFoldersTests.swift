import Datasets
import Foundation
import Testing

@Suite struct DatasetFoldersTests {
  private func withFolder(_ body: (URL) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("datasets-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder)
  }

  private func makeFolders(_ names: String..., in folder: URL) throws {
    for name in names {
      try FileManager.default.createDirectory(
        at: folder.appendingPathComponent(name), withIntermediateDirectories: true)
    }
  }

  @Test func namesAndNumbers() throws {
    try withFolder { root in
      try makeFolders(
        "raw/Dataset004_Hippocampus", "raw/Dataset100_A", "raw/Dataset1000_B", "pre/Dataset004_Hippocampus",
        "raw/Dataset007_X", "pre/Dataset007_Y", in: root)
      let folders = DatasetFolders(environment: [
        "nnUNet_raw": root.appendingPathComponent("raw").path,
        "nnUNet_preprocessed": root.appendingPathComponent("pre").path,
      ])
      #expect(try folders.datasetName("4") == "Dataset004_Hippocampus")
      #expect(try folders.datasetName("004") == "Dataset004_Hippocampus")
      #expect(try folders.datasetName("100") == "Dataset100_A")
      #expect(try folders.datasetName("1000") == "Dataset1000_B")
      #expect(try folders.datasetName("Dataset999_Other") == "Dataset999_Other")
      #expect(DatasetFolders.datasetNumber(of: "Dataset004_Hippocampus") == 4)
      let ambiguous = #expect(throws: DatasetError.self) { try folders.datasetName("7") }
      #expect(ambiguous?.kind == .ambiguous)
      #expect(ambiguous?.description.contains("Dataset007_X, Dataset007_Y") == true)
      let missing = #expect(throws: DatasetError.self) { try folders.datasetName("5") }
      #expect(missing?.kind == .notFound)
      #expect(missing?.description.contains("nnUNet_results=(not set)") == true)
      #expect(throws: DatasetError.self) { try folders.datasetName("Hippocampus") }
      let unset = #expect(throws: DatasetError.self) { try folders.requireResults() }
      #expect(unset?.description.contains("nnUNet_results") == true)
    }
  }

  @Test func casesFromFiles() throws {
    try withFolder { root in
      try makeFolders("imagesTr", "labelsTr", "imagesTr/folder_0000.nii.gz", in: root)
      for name in [
        "b_0001.nii.gz", "b_0000.nii.gz", "a_1_0000.nii.gz", "a_0000.nii.gz", "B_0000.nii.gz", "c.nii.gz",
        "d_000.nii.gz", "_0000.nii.gz", "e_0000.txt",
      ] {
        try Data().write(to: root.appendingPathComponent("imagesTr/" + name))
      }
      let description = try DatasetDescription(
        json: ["channel_names": ["0": "CT"], "labels": ["background": 0], "file_ending": ".nii.gz"])
      let cases = try DatasetFolders.trainingCases(rawFolder: root, description: description)
      #expect(cases.map(\.identifier) == ["B", "a", "a_1", "b"])
      #expect(cases.last?.images.map(\.lastPathComponent) == ["b_0000.nii.gz", "b_0001.nii.gz"])
      #expect(cases.last?.label?.lastPathComponent == "b.nii.gz")
      let images = root.appendingPathComponent("imagesTr")
      #expect(
        try DatasetCase.unrecognizedFiles(in: images, fileEnding: ".nii.gz")
          == ["_0000.nii.gz", "c.nii.gz", "d_000.nii.gz"])
      #expect(throws: DatasetError.self) {
        try DatasetCase.list(in: root.appendingPathComponent("imagesTs"), fileEnding: ".nii.gz")
      }
      #expect(DatasetCase.imageFileName("x", channel: 12, fileEnding: ".png") == "x_0012.png")
    }
  }
}
