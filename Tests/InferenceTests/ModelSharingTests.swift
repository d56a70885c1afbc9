import Archives
import Datasets
import Foundation
import Inference
import TensorTestSupport
import Testing

@Suite struct ModelSharingTests {
  private let root = FileManager.default.temporaryDirectory.appendingPathComponent("nnunet-tests-\(UUID().uuidString)")

  @Test func anExportedModelIsInstalledWhole() throws {
    guard let golden = Golden.folder("modelfolder/hippocampus_3d") else { return }
    defer { try? FileManager.default.removeItem(at: root) }
    let folders = DatasetFolders(raw: nil, preprocessed: nil, results: root.appendingPathComponent("results"))
    let model = ModelIdentifier(trainer: "nnUNetTrainer", plans: "nnUNetPlans", configuration: "3d_fullres")
    let folder = try folders.modelFolder("Dataset004_Hippocampus", model)
    try FileManager.default.createDirectory(
      at: folder.deletingLastPathComponent(), withIntermediateDirectories: true)
    try FileManager.default.copyItem(at: golden.appendingPathComponent(model.description), to: folder)
    let validation = folder.appendingPathComponent("fold_0/validation")
    try FileManager.default.createDirectory(
      at: validation.appendingPathComponent("more"), withIntermediateDirectories: true)
    for name in ["case.nii.gz", "case.npz", "summary.json"] {
      try Data(name.utf8).write(to: validation.appendingPathComponent(name))
    }
    var export = ModelExport(
      dataset: "Dataset004_Hippocampus", models: [model], folds: [.number(0), .number(1)],
      checkpoints: ["checkpoint_final.h5"], allowsMissing: false, includesPredictions: false)
    let zip = root.appendingPathComponent("model.zip")
    let names = try export.write(to: zip, folders: folders)
    #expect(
      Set(names.map { URL(fileURLWithPath: $0).lastPathComponent }).isSuperset(of: ["plans.json", "dataset.json"]))
    #expect(names.count { $0.hasSuffix("checkpoint_final.pth") } == 2)

    let installed = root.appendingPathComponent("installed")
    #expect(try ModelInstallation.install(zip, into: installed) == names)
    for name in names {
      let same =
        try Data(contentsOf: installed.appendingPathComponent(name))
        == Data(contentsOf: folders.requireResults().appendingPathComponent(name))
      #expect(same, "\(name)")
    }
    let loaded = try ModelFolder(
      contentsOf: installed.appendingPathComponent("Dataset004_Hippocampus/\(model)"), folds: ["0", "1"])
    #expect(loaded.parameterSets.count == 2)

    export.includesPredictions = true
    let all = try export.write(to: zip, folders: folders).map { URL(fileURLWithPath: $0).lastPathComponent }
    #expect(all.contains("case.nii.gz") && all.contains("summary.json") && !all.contains("case.npz"))

    // What is missing is named, or left out.
    export.folds = [.number(0), .number(3)]
    let error = #expect(throws: DatasetError.self) { try export.write(to: zip, folders: folders) }
    #expect(error?.file?.hasSuffix("fold_3") == true)
    export.allowsMissing = true
    #expect(try export.write(to: zip, folders: folders).count { $0.hasSuffix(".pth") } == 1)
  }

  @Test(arguments: ["../evil", "/tmp/evil", "a/../../evil", "a//b", "a\\b"])
  func entriesOutsideOfTheFolderAreRefused(name: String) throws {
    try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: root) }
    let zip = root.appendingPathComponent("model.zip")
    try ZipWriter.create(atomicallyAt: zip.path) { writer in
      try writer.add("good/plans.json", Array("{}".utf8))
      try writer.add(name, [1])
    }
    let results = root.appendingPathComponent("results")
    let error = #expect(throws: DatasetError.self) { try ModelInstallation.install(zip, into: results) }
    #expect(error?.description.contains(name) == true)
    #expect(!FileManager.default.fileExists(atPath: results.path))
  }
}
