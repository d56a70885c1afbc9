import Archives
import Datasets
import Foundation
import Inference
import TensorTestSupport
import Testing
import Volumes

/// Model folders trained by nnU-Net, from files to files.
@Suite(.serialized)
struct ModelFolderGoldenTests {
  struct Run: Sendable, CustomTestStringConvertible {
    var model: String
    var name: String
    var precision: LogitsPrecision
    var folds: [String] { name.hasPrefix("f01") ? ["0", "1"] : ["0"] }
    var testDescription: String { "\(model) \(name) \(precision)" }
  }

  static let runs = ["hippocampus_3d", "hippocampus_2d", "regions_resenc_transposed", "cascade"].flatMap { model in
    ["f0_tta", "f0_notta", "f01_tta", "f01_notta"].flatMap { name in
      [LogitsPrecision.float32, .reference].map { Run(model: model, name: name, precision: $0) }
    }
  }

  @Test(arguments: runs)
  func predictionsEqualReference(_ run: Run) throws {
    guard let folder = Golden.folder("modelfolder/\(run.model)") else { return }
    let expected = folder.appendingPathComponent("expected/\(run.name)")
    let reader = SimpleITKReaderWriter()
    try withTemporaryFolder { output in
      let predictor = try Predictor(
        modelFolder: try modelFolder(in: folder), folds: run.folds,
        options: PredictionOptions(usesMirroring: run.name.hasSuffix("_tta"), precision: run.precision))
      let previous = folder.appendingPathComponent("prev_stage_predictions")
      let report = try PredictionRun(
        predictor: predictor,
        settings: .init(
          inputFolder: folder.appendingPathComponent("imagesTs"), outputFolder: output,
          savesProbabilities: run.name == "f01_tta",
          previousStageFolder: FileManager.default.fileExists(atPath: previous.path) ? previous : nil)
      ).run(progress: SilentProgress())
      #expect(report.isComplete, "\(report.failures)")
      let names = try FileManager.default.contentsOfDirectory(atPath: expected.path).filter { $0.hasSuffix(".nii.gz") }
      #expect(!names.isEmpty && names.count == report.outcomes.count)
      for name in names.sorted() {
        let (found, properties) = try reader.readSegmentation(output.appendingPathComponent(name))
        let (wanted, wantedProperties) = try reader.readSegmentation(expected.appendingPathComponent(name))
        #expect(found.shape == wanted.shape)
        expectSameGeometry(properties, wantedProperties)
        let equal = zip(found.elements, wanted.elements).count { $0 == $1 }
        let agreement = Double(equal) / Double(wanted.elements.count)
        var dice = 1.0
        for label in Set(wanted.elements) where label > 0 {
          let both = zip(found.elements, wanted.elements).count { $0 == label && $1 == label }
          let sum = found.elements.count { $0 == label } + wanted.elements.count { $0 == label }
          dice = min(dice, Double(2 * both) / Double(sum))
        }
        let note = "\(run.testDescription) \(name): \(wanted.elements.count - equal) voxels differ, Dice \(dice)"
        #expect(agreement >= (run.precision == .reference ? 0.9999 : 0.999), "\(note)")
        #expect(dice >= 0.998, "\(note)")
      }
      try compareProbabilities(run, folder, output)
    }
  }

  private func modelFolder(in folder: URL) throws -> URL {
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
    return folder.appendingPathComponent(try #require(names.first { $0.hasPrefix("nnUNetTrainer__") }))
  }

  private func compareProbabilities(_ run: Run, _ folder: URL, _ output: URL) throws {
    let files = try FileManager.default.contentsOfDirectory(atPath: output.path).filter { $0.hasSuffix(".npz") }
    #expect(files.isEmpty == (run.name != "f01_tta"))
    guard let first = files.min() else { return }
    let expected = try Golden.array(
      "\(run.name)/\(first.dropLast(4))", in: folder.appendingPathComponent("probabilities.h5"))
    let array = try NumPyArchive(path: output.appendingPathComponent(first).path).array("probabilities")
    #expect(array.shape == expected.shape)
    let found = try array.elements(as: Float.self)
    let differences = zip(found, expected.elements).map { abs($0 - $1) }.sorted()
    let mean = differences.reduce(0) { $0 + Double($1) } / Double(differences.count)
    let high = differences[differences.count * 99 / 100]
    let worst = differences.last ?? .infinity
    let note = "\(run.testDescription) probabilities: mean \(mean), 99 % \(high), worst \(worst)"
    #expect(mean <= 1e-3 && high <= 5e-3 && worst <= (run.precision == .reference ? 1e-3 : 0.1), "\(note)")
    // What nnU-Net's ensembling needs beside them.
    let properties = try Pickle.read(
      path: output.appendingPathComponent(first.dropLast(4) + ".pkl").path, allowing: .plain)
    let meta = try JSONField(contentsOf: folder.appendingPathComponent("expected/meta.json"))
      .field(run.name).field("cases").field(String(first.dropLast(4))).field("properties")
    #expect(
      try properties["shape_before_cropping"]?.integers == meta.field("shape_before_cropping").ints()
        && properties["spacing"]?.numbers == meta.field("spacing").doubles()
        && properties["bbox_used_for_cropping"]?.elements?.map(\.integers)
          == meta.field("bbox_used_for_cropping").elements().map { try $0.ints() }
        && properties["sitk_stuff"]?["direction"]?.numbers == meta.field("sitk_stuff").field("direction").doubles())
  }

  private func expectSameGeometry(_ found: ImageProperties, _ expected: ImageProperties) {
    guard let found = found.sitkStuff, let expected = expected.sitkStuff else {
      Issue.record("no geometry")
      return
    }
    for (a, b) in [
      (found.spacing, expected.spacing), (found.origin, expected.origin), (found.direction, expected.direction),
    ] {
      #expect(a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) <= 1e-6 })
    }
  }
}

func withTemporaryFolder<Result>(_ body: (URL) throws -> Result) throws -> Result {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("nnunet-tests-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  return try body(folder)
}
