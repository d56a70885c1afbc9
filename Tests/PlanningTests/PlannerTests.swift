import Datasets
import Foundation
import Planning
import Testing

@Suite struct PlannerTests {
  private let description: DatasetDescription
  private let properties = ForegroundIntensityProperties(
    mean: 1, median: 1, std: 1, min: 0, max: 2, percentile_99_5: 2, percentile_00_5: 0)

  init() throws {
    description = try DatasetDescription(json: [
      "channel_names": ["0": "CT"], "labels": ["background": 0, "a": 1], "numTraining": 10,
      "file_ending": ".nii.gz",
    ])
  }

  private func fingerprint(spacing: [Double] = [1, 1, 1], shape: [Int] = [64, 64, 64]) -> DatasetFingerprint {
    DatasetFingerprint(
      spacings: [spacing, spacing], shapesAfterCrop: [shape, shape], foregroundIntensityProperties: [properties],
      medianRelativeSizeAfterCropping: 1)
  }

  @Test func unknownPlannersAreListed() {
    let error = #expect(throws: DatasetError.self) { try ExperimentPlanner.named("nnUNetPlanner") }
    #expect(error?.description.contains("nnUNetPlannerResEncXL") == true)
  }

  @Test func tooSmallAMemoryTarget() throws {
    var planner = try ExperimentPlanner.named("ExperimentPlanner")
    planner.memoryTarget = 1e-9
    let error = #expect(throws: DatasetError.self) {
      try planner.plan(
        datasetName: "D", description: description, fingerprint: fingerprint(), readerWriterName: "SimpleITKIO")
    }
    #expect(error?.description.contains("-gpu_memory_target") == true)
  }

  @Test(arguments: [[1, 1], [0, 1, 1], [1, -1, 1], [.nan, 1, 1]] as [[Double]])
  func badTargetSpacings(spacing: [Double]) throws {
    var planner = try ExperimentPlanner.named("ExperimentPlanner")
    planner.overwriteTargetSpacing = spacing
    #expect(throws: DatasetError.self) {
      try planner.plan(
        datasetName: "D", description: description, fingerprint: fingerprint(), readerWriterName: "SimpleITKIO")
    }
  }

  @Test func transposingCanBeSuppressed() throws {
    var planner = try ExperimentPlanner.named("ExperimentPlanner")
    let fingerprint = fingerprint(spacing: [1, 1, 5], shape: [64, 64, 20])
    func plans() throws -> Plans {
      try Plans(
        json: .object(
          planner.plan(
            datasetName: "D", description: description, fingerprint: fingerprint, readerWriterName: "SimpleITKIO"
          ).json))
    }
    #expect(try plans().transposeForward == [2, 0, 1])
    #expect(try plans().transposeBackward == [1, 2, 0])
    planner.suppressTranspose = true
    #expect(try plans().transposeForward == [0, 1, 2])
  }

  @Test(arguments: [
    "{}",
    "{\"spacings\": [], \"shapes_after_crop\": []}",
    "{\"spacings\": [[1, 1, 1]], \"shapes_after_crop\": [[1, 1]]}",
    "{\"spacings\": [[1, 0, 1]], \"shapes_after_crop\": [[1, 1, 1]]}",
    "{\"spacings\": [[1, 1, 1]], \"shapes_after_crop\": [[1, 1, 1], [1, 1, 1]]}",
    "{\"spacings\": 1, \"shapes_after_crop\": [[1, 1, 1], [1, 1, 1]]}",
  ])
  func badFingerprints(text: String) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("fingerprint-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appendingPathComponent("dataset_fingerprint.json")
    #expect(throws: DatasetError.self) { try DatasetFingerprint(contentsOf: file) }
    var object = try #require(JSONValue(parsing: text).object)
    if !object.isEmpty {
      object["median_relative_size_after_cropping"] = 1.0
      object["foreground_intensity_properties_per_channel"] = [:]
    }
    try JSONValue.object(object).write(to: file)
    let error = #expect(throws: DatasetError.self) { try DatasetFingerprint(contentsOf: file) }
    #expect(error?.file == file.path)
  }

  @Test func foldersInPlansOut() throws {
    let root = FileManager.default.temporaryDirectory.appendingPathComponent("planning-\(UUID())")
    defer { try? FileManager.default.removeItem(at: root) }
    let folders = DatasetFolders(
      raw: root.appendingPathComponent("raw"), preprocessed: root.appendingPathComponent("pre"), results: nil)
    let raw = try folders.rawFolder("Dataset001_X")
    let preprocessed = try folders.preprocessedFolder("Dataset001_X")
    for folder in [raw, preprocessed] {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }
    try description.write(to: raw.appendingPathComponent("dataset.json"))
    let planner = try ExperimentPlanner.named("ExperimentPlanner")
    let missing = #expect(throws: DatasetError.self) {
      try planner.planExperiment(datasetName: "Dataset001_X", folders: folders)
    }
    #expect(missing?.description.contains("nnUNetv2_extract_fingerprint") == true)
    try fingerprint().write(to: preprocessed.appendingPathComponent("dataset_fingerprint.json"))
    let splits = CrossValidationSplits(folds: [.init(train: ["a"], val: ["b"])])
    try splits.write(to: raw.appendingPathComponent("splits_final.json"))
    _ = try planner.planExperiment(datasetName: "Dataset001_X", folders: folders)
    #expect(
      try CrossValidationSplits(contentsOf: preprocessed.appendingPathComponent("splits_final.json")) == splits)
    #expect(
      try DatasetDescription(contentsOf: preprocessed.appendingPathComponent("dataset.json")).json == description.json)

    // A configuration of the user's own stays, a planned one is replaced.
    let file = preprocessed.appendingPathComponent("nnUNetPlans.json")
    var json = try Plans(contentsOf: file).json
    var configurations = try #require(json["configurations"]?.object)
    configurations["mine"] = ["inherits_from": "3d_fullres", "batch_size": 7]
    configurations["2d"] = ["inherits_from": "mine"]
    json["configurations"] = .object(configurations)
    try JSONValue.object(json).write(to: file)
    let again = try planner.planExperiment(datasetName: "Dataset001_X", folders: folders)
    let plans = try Plans(contentsOf: file)
    #expect(plans.configurationNames == ["2d", "3d_fullres", "mine"])
    #expect(try plans.configuration(named: "mine").batchSize == 7)
    #expect(try plans.configuration(named: "2d").patchSize.count == 2)
    #expect(plans.json == again.json)

    // Splits that disagree are an error.
    try CrossValidationSplits(folds: [.init(train: ["b"], val: ["a"])]).write(
      to: raw.appendingPathComponent("splits_final.json"))
    let disagreeing = #expect(throws: DatasetError.self) {
      try planner.planExperiment(datasetName: "Dataset001_X", folders: folders)
    }
    #expect(disagreeing?.description.contains("fold 0") == true)
  }
}
