import Datasets
import Evaluation
import Foundation
import TensorTestSupport
import Testing
import Volumes

/// `summary.json` of real nnU-Net runs.
struct FolderEvaluationTests {
  static let cases = [
    "labels", "labels_chill", "labels_ignore", "labels_missing_class", "regions", "regions_ignore",
    "regions_missing_class",
  ]

  @Test(arguments: cases)
  func summaryEqualsReference(_ name: String) throws {
    guard let folder = Golden.folder("evaluation/\(name)") else { return }
    let description = try DatasetDescription(contentsOf: folder.appendingPathComponent("dataset.json"))
    let evaluation = try FolderEvaluation(
      datasetDescription: description, referenceFolder: URL(fileURLWithPath: "ref", relativeTo: folder),
      predictionFolder: URL(fileURLWithPath: "pred", relativeTo: folder),
      allowsMissingPredictions: name == "labels_chill")
    let result = try evaluation.run(threads: nil, caseDone: { _, _ in })
    #expect(result.failures.isEmpty)
    try expectEqual(result.summary, folder.appendingPathComponent("summary.json"))
  }

  @Test(arguments: ["labels", "labels_ignore"])
  func simpleSummaryEqualsReference(_ name: String) throws {
    guard let folder = Golden.folder("evaluation/\(name)") else { return }
    let evaluation = try FolderEvaluation(
      simple: name == "labels" ? [1, 2, 3] : [1, 2],
      referenceFolder: URL(fileURLWithPath: "ref", relativeTo: folder),
      predictionFolder: URL(fileURLWithPath: "pred", relativeTo: folder),
      ignoreLabel: name == "labels" ? nil : 4, allowsMissingPredictions: false)
    let result = try evaluation.run(threads: 1, caseDone: { _, _ in })
    #expect(result.failures.isEmpty)
    try expectEqual(result.summary, folder.appendingPathComponent("summary_simple.json"))
  }

  @Test
  func missingPredictionsAreAnErrorUnlessAllowed() throws {
    guard let folder = Golden.folder("evaluation/labels_chill") else { return }
    let description = try DatasetDescription(contentsOf: folder.appendingPathComponent("dataset.json"))
    let evaluation = try FolderEvaluation(
      datasetDescription: description, referenceFolder: folder.appendingPathComponent("ref"),
      predictionFolder: folder.appendingPathComponent("pred"), allowsMissingPredictions: false)
    #expect(throws: EvaluationError.self) { try evaluation.run(threads: nil, caseDone: { _, _ in }) }
  }

  @Test
  func brokenPredictionLeavesTheOthers() throws {
    guard let folder = Golden.folder("evaluation/labels") else { return }
    try withTemporaryFolder { temporary in
      let predictions = temporary.appendingPathComponent("pred")
      try FileManager.default.copyItem(at: folder.appendingPathComponent("pred"), to: predictions)
      let broken = predictions.appendingPathComponent("case_1.nii.gz")
      try FileManager.default.removeItem(at: broken)
      try Data("not an image".utf8).write(to: broken)
      let evaluation = try FolderEvaluation(
        simple: [1, 2, 3], referenceFolder: folder.appendingPathComponent("ref"), predictionFolder: predictions,
        ignoreLabel: nil, allowsMissingPredictions: false)
      let result = try evaluation.run(threads: nil, caseDone: { _, _ in })
      #expect(result.failures.map(\.identifier) == ["case_1.nii.gz"])
      #expect(result.summary.cases.count == 3)
      let file = temporary.appendingPathComponent("summary.json")
      try result.summary.write(to: file)
      let again = try EvaluationSummary(contentsOf: file)
      #expect(again.targets == result.summary.targets)
      #expect(again.mean == result.summary.mean)
      #expect(again.foregroundMean == result.summary.foregroundMean)
    }
  }

  @Test
  func countsEqualTheirDefinition() {
    var generator = NumPyRandomState(seed: 5)
    let shape = [1, 3, 7, 5]
    let reference = VoxelGrid<Int16>(shape: shape, elements: generator.integers(in: -1..<5, count: 105).map(Int16.init))
    let prediction = VoxelGrid<Int16>(
      shape: shape, elements: generator.integers(in: -1..<5, count: 105).map(Int16.init))
    let targets: [LabelOrRegion] = [.label(1), .region([1, 2, 4]), .label(0), .label(9)]
    for ignoreLabel in [nil, 4] {
      let counts = ConfusionCounts.counting(
        reference: reference, prediction: prediction, of: targets, ignoreLabel: ignoreLabel)
      for (target, counts) in zip(targets, counts) {
        var (tp, fp, fn, tn) = (0, 0, 0, 0)
        for (r, p) in zip(reference.elements, prediction.elements) where ignoreLabel.map({ Int(r) != $0 }) ?? true {
          switch (target.labels.contains(Int(r)), target.labels.contains(Int(p))) {
          case (true, true): tp += 1
          case (false, true): fp += 1
          case (true, false): fn += 1
          case (false, false): tn += 1
          }
        }
        #expect(
          counts
            == ConfusionCounts(truePositives: tp, falsePositives: fp, falseNegatives: fn, trueNegatives: tn))
      }
    }
  }

  @Test
  func keysOfRegionsAreReadBack() {
    for target in [LabelOrRegion.label(3), .region([1, 2, 3]), .region([4])] {
      #expect(LabelOrRegion(key: target.key) == target)
    }
    #expect(LabelOrRegion(key: "(1, x)") == nil)
    #expect(LabelOrRegion(key: "foreground") == nil)
  }

  private func expectEqual(_ summary: EvaluationSummary, _ file: URL) throws {
    try withTemporaryFolder { temporary in
      let written = temporary.appendingPathComponent("summary.json")
      try summary.write(to: written)
      // Counts, keys, their order and the rounding of means: the files agree byte for byte.
      let found = try String(contentsOf: written, encoding: .utf8)
      let expected = try String(contentsOf: file, encoding: .utf8)
      #expect(found == expected)
    }
  }
}

func withTemporaryFolder<Result>(_ body: (URL) throws -> Result) throws -> Result {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("nnunet-tests-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  return try body(folder)
}
