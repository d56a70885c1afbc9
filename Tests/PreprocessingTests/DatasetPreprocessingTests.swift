import Datasets
import Foundation
import Preprocessing
import Synchronization
import TensorTestSupport
import Testing

/// Folders in, folders out, and again.
@Suite struct DatasetPreprocessingTests {
  private let root = FileManager.default.temporaryDirectory.appendingPathComponent("preprocessing-\(UUID())")

  /// Puts a golden folder's cases into raw folders as a data set that is planned.
  private func makeDataset() throws -> DatasetFolders? {
    guard let golden = Golden.folder("preprocess/hippocampus_no_resampling") else { return nil }
    let folders = DatasetFolders(
      raw: root.appendingPathComponent("raw"), preprocessed: root.appendingPathComponent("pre"), results: nil)
    let (raw, preprocessed) = (try folders.rawFolder("Dataset001_X"), try folders.preprocessedFolder("Dataset001_X"))
    for folder in [raw, preprocessed] {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }
    for name in ["imagesTr", "labelsTr", "dataset.json"] {
      try FileManager.default.copyItem(
        at: golden.appendingPathComponent(name), to: raw.appendingPathComponent(name))
    }
    try FileManager.default.copyItem(
      at: golden.appendingPathComponent("plans.json"), to: preprocessed.appendingPathComponent("nnUNetPlans.json"))
    return folders
  }

  private func run(
    _ folders: DatasetFolders, overwrites: Bool = false
  ) throws -> (report: DatasetPreprocessing.Report, outcomes: [String: PreprocessingRun.Outcome], folder: URL) {
    var work = try DatasetPreprocessing(
      datasetName: "Dataset001_X", plansName: "nnUNetPlans", configurationName: "3d_fullres", folders: folders)
    work.overwrites = overwrites
    let outcomes = Mutex<[String: PreprocessingRun.Outcome]>([:])
    let report = try work.run { progress in
      outcomes.withLock { $0[progress.identifier] = progress.outcome }
      #expect((progress.work != nil) == (progress.outcome == .done))
    }
    return (report, outcomes.withLock { $0 }, work.folder)
  }

  @Test func onlyWhatIsMissingIsDone() throws {
    guard let folders = try makeDataset() else { return }
    defer { try? FileManager.default.removeItem(at: root) }
    let raw = try folders.rawFolder("Dataset001_X")
    let first = try run(folders)
    let names = first.outcomes.keys.sorted()
    #expect(names.count == 2 && first.report.failures.isEmpty)
    #expect(Set(first.outcomes.values) == [.done])
    let references = try folders.preprocessedFolder("Dataset001_X").appendingPathComponent("gt_segmentations")
    let copied = try FileManager.default.contentsOfDirectory(atPath: references.path).sorted()
    #expect(copied == names.map { $0 + ".nii.gz" })
    #expect(Set(try run(folders).outcomes.values) == [.kept])
    #expect(Set(try run(folders, overwrites: true).outcomes.values) == [.done])

    // What a killed run leaves: a temporary file of a process that is gone, and a case less.
    let abandoned = first.folder.appendingPathComponent(".\(names[0]).h5.4194999.17.tmp")
    let underWay = first.folder.appendingPathComponent(".\(names[0]).h5.\(getpid()).17.tmp")
    for file in [abandoned, underWay] { try Data("x".utf8).write(to: file) }
    try FileManager.default.removeItem(at: first.folder.appendingPathComponent(names[0] + ".h5"))
    let resumed = try run(folders)
    #expect(resumed.outcomes == [names[0]: .done, names[1]: .kept])
    #expect(!FileManager.default.fileExists(atPath: abandoned.path))
    #expect(FileManager.default.fileExists(atPath: underWay.path))

    // A case that the data set no longer has.
    try FileManager.default.removeItem(at: raw.appendingPathComponent("imagesTr/\(names[0])_0000.nii.gz"))
    let smaller = try run(folders)
    #expect(smaller.report.removedCases == [names[0]])
    #expect(smaller.outcomes == [names[1]: .kept])
    #expect(try CaseStore(folder: smaller.folder).identifiers == [names[1]])

    // A label file that changed, and one that is missing.
    let label = raw.appendingPathComponent("labelsTr/\(names[1]).nii.gz")
    try FileManager.default.setAttributes([.modificationDate: Date()], ofItemAtPath: label.path)
    #expect(try run(folders).outcomes == [names[1]: .done])
    try FileManager.default.removeItem(at: label)
    let failed = try run(folders)
    #expect(failed.report.failures.map(\.identifier) == [names[1]])
    #expect(try CaseStore(folder: failed.folder).identifiers.isEmpty)
  }

  /// The description that the plans were made with counts, as in nnU-Net.
  @Test func theDescriptionBesideThePlansIsUsed() throws {
    guard let folders = try makeDataset() else { return }
    defer { try? FileManager.default.removeItem(at: root) }
    let preprocessed = try folders.preprocessedFolder("Dataset001_X").appendingPathComponent("dataset.json")
    let raw = try folders.rawFolder("Dataset001_X").appendingPathComponent("dataset.json")
    try FileManager.default.copyItem(at: raw, to: preprocessed)
    try Data("{}".utf8).write(to: raw)
    #expect(try run(folders).report.failures.isEmpty)
  }
}
