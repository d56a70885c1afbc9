import Datasets
import Foundation
import Planning
import TensorTestSupport
import Testing

@Suite struct PlansTransferTests {
  @Test func identifiersFollowTheName() throws {
    guard let folder = Golden.folder("planner/colon_ct") else { return }
    let root = FileManager.default.temporaryDirectory.appendingPathComponent("transfer-\(UUID())")
    defer { try? FileManager.default.removeItem(at: root) }
    let folders = DatasetFolders(
      raw: root.appendingPathComponent("raw"), preprocessed: root.appendingPathComponent("pre"), results: nil)
    for url in [try folders.rawFolder("Dataset002_B"), try folders.preprocessedFolder("Dataset001_A")] {
      try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }
    try FileManager.default.copyItem(
      at: folder.appendingPathComponent("nnUNetResEncUNetLPlans.json"),
      to: folders.preprocessedFolder("Dataset001_A").appendingPathComponent("nnUNetResEncUNetLPlans.json"))
    try FileManager.default.copyItem(
      at: folder.appendingPathComponent("dataset.json"),
      to: folders.rawFolder("Dataset002_B").appendingPathComponent("dataset.json"))
    let file = try PlansTransfer.movePlans(
      from: "Dataset001_A", to: "Dataset002_B", plansName: "nnUNetResEncUNetLPlans", targetPlansName: "mine",
      folders: folders)
    let plans = try Plans(contentsOf: file)
    #expect(file.lastPathComponent == "mine.json")
    #expect(plans.datasetName == "Dataset002_B")
    #expect(plans.plansName == "mine")
    #expect(try plans.configuration(named: "3d_lowres").dataIdentifier == "mine_3d_lowres")
    #expect(try plans.configuration(named: "3d_fullres").dataIdentifier == "mine_nnUNetPlans_3d_fullres")
    let missing = #expect(throws: DatasetError.self) {
      try PlansTransfer.movePlans(
        from: "Dataset001_A", to: "Dataset002_B", plansName: "other", targetPlansName: nil, folders: folders)
    }
    #expect(missing?.kind == .notFound)
  }
}
