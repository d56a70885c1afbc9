import Datasets
import Foundation
import HDF5Files
import Preprocessing
import TensorTestSupport
import Testing
import Volumes

/// What `expected.json` says of one case in one configuration.
private struct ExpectedCase {
  let imageFiles: [String]
  let spacing: [Double]
  let shapeBeforeCropping: [Int]
  let bboxUsedForCropping: [[Int]]
  let shapeAfterCroppingAndBeforeResampling: [Int]
  let classLocationsCounts: [String: Int]
  let classLocationsOrder: [String]
  let classLocationsFirst3: [String: [[Int]]]
}

/// The keys `1` and `[1, 2]` of the golden files.
private func goldenKey(_ entry: ClassLocations.Entry) -> String {
  entry.isTuple ? "\(entry.labels)" : entry.labels.map(String.init).joined()
}

@Suite struct PreprocessorGoldenTests {
  static let folders = [
    "hippocampus_no_resampling", "iso_resampling", "aniso_separate_z", "ct_crop", "zscore_masked",
    "other_normalizations", "transpose", "direction", "header_variants", "config_2d", "regions_ignore",
    "labels_ignore", "torch_resampling", "labels_above_127", "png_rgb",
    "png_gray",
  ]

  @Test(arguments: folders)
  func everyCase(name: String) throws {
    guard let folder = Golden.folder("preprocess/" + name) else { return }
    let plans = try Plans(contentsOf: folder.appendingPathComponent("plans.json"))
    let description = try DatasetDescription(contentsOf: folder.appendingPathComponent("dataset.json"))
    let decoder = JSONDecoder()
    let expected = try decoder.decode(
      [String: [String: JSONCase]].self, from: Data(contentsOf: folder.appendingPathComponent("expected.json")))
    let file = try HDF5File.open(folder.appendingPathComponent("expected.h5").path)
    #expect(!expected.isEmpty)
    var (worst, least): (Float, Double) = (0, 1)
    for (identifier, configurations) in expected {
      for (configuration, json) in configurations {
        let golden = json.value
        let note = "\(name) \(identifier) \(configuration)"
        let preprocessor = try Preprocessor(
          plans: plans, configuration: plans.configuration(named: configuration), datasetDescription: description)
        let images = golden.imageFiles.map { folder.appendingPathComponent("imagesTr/" + $0) }
        let label = folder.appendingPathComponent("labelsTr/\(identifier)\(description.fileEnding)")
        let result = try preprocessor.run(images: images, segmentation: label)

        let properties = result.properties
        #expect(zip(properties.image.spacing, golden.spacing).allSatisfy { abs($0 - $1) <= 1e-7 }, "\(note)")
        #expect(properties.shapeBeforeCropping == golden.shapeBeforeCropping, "\(note)")
        #expect(properties.boxUsedForCropping.lower == golden.bboxUsedForCropping.map { $0[0] }, "\(note)")
        #expect(properties.boxUsedForCropping.upper == golden.bboxUsedForCropping.map { $0[1] }, "\(note)")
        #expect(
          properties.shapeAfterCroppingAndBeforeResampling == golden.shapeAfterCroppingAndBeforeResampling, "\(note)")

        let data = try file.root.read("\(identifier)/\(configuration)/data", as: Float.self)
        let isResampled = Array(data.shape[1...]) != golden.shapeAfterCroppingAndBeforeResampling
        worst = max(
          worst,
          expectClose(
            result.data.elements, shape: result.data.shape, data.elements, shape: data.shape,
            absolute: isResampled ? 2e-4 : 1e-5, relativeToMaximum: 0, note))
        for (actual, key) in [
          (result.segmentation, "seg"),
          (try preprocessor.run(images: images, segmentation: nil).segmentation, "seg_without_label_file"),
        ] {
          let seg = try file.root.read("\(identifier)/\(configuration)/\(key)", as: Int16.self)
          #expect(actual.shape == seg.shape, "\(note) \(key)")
          let equal = Double(zip(actual.elements, seg.elements).count { $0 == $1 }) / Double(seg.elements.count)
          #expect(equal >= (isResampled ? 0.9995 : 1), "\(note) \(key): \(equal)")
          least = min(least, equal)
        }

        let locations = result.classLocations.entries
        #expect(locations.map(goldenKey) == golden.classLocationsOrder, "\(note)")
        for entry in locations {
          let key = goldenKey(entry)
          #expect(entry.count == golden.classLocationsCounts[key], "\(note) \(key)")
          let first = (0..<min(3, entry.count)).map { [0] + entry.voxels[3 * $0..<3 * $0 + 3].map(Int.init) }
          #expect(first == golden.classLocationsFirst3[key], "\(note) \(key)")
        }
      }
    }
    print("golden preprocess \(name): largest difference \(worst), least agreement of labels \(least)")
  }

  @Test func noFolderIsForgotten() throws {
    guard let folder = Golden.folder("preprocess") else { return }
    let all = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { !$0.hasPrefix(".") }
    #expect(Set(all) == Set(Self.folders))
  }
}

/// Decodes an ``ExpectedCase`` from the golden files' snake case, which a strategy would also apply to the keys of cases.
private struct JSONCase: Decodable {
  let value: ExpectedCase

  private enum CodingKeys: String, CodingKey {
    case imageFiles = "image_files"
    case spacing
    case shapeBeforeCropping = "shape_before_cropping"
    case bboxUsedForCropping = "bbox_used_for_cropping"
    case shapeAfterCropping = "shape_after_cropping_and_before_resampling"
    case counts = "class_locations_counts"
    case order = "class_locations_order"
    case first = "class_locations_first3"
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    value = ExpectedCase(
      imageFiles: try container.decode([String].self, forKey: .imageFiles),
      spacing: try container.decode([Double].self, forKey: .spacing),
      shapeBeforeCropping: try container.decode([Int].self, forKey: .shapeBeforeCropping),
      bboxUsedForCropping: try container.decode([[Int]].self, forKey: .bboxUsedForCropping),
      shapeAfterCroppingAndBeforeResampling: try container.decode([Int].self, forKey: .shapeAfterCropping),
      classLocationsCounts: try container.decode([String: Int].self, forKey: .counts),
      classLocationsOrder: try container.decode([String].self, forKey: .order),
      classLocationsFirst3: try container.decode([String: [[Int]]].self, forKey: .first))
  }
}

@Suite struct SegmentationExportGoldenTests {
  private struct GoldenExport: Decodable {
    struct Properties: Decodable {
      let spacing: [Double]
      let shapeBeforeCropping: [Int]
      let bboxUsedForCropping: BoundingBox
      let shapeAfterCroppingAndBeforeResampling: [Int]
    }
    let name: String
    let configuration: String
    let properties: Properties
  }

  @Test func everyCase() throws {
    guard let folder = Golden.folder("inference/export") else { return }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let cases = try decoder.decode(
      [GoldenExport].self, from: Data(contentsOf: folder.appendingPathComponent("export.json")))
    let file = try HDF5File.open(folder.appendingPathComponent("export.h5").path)
    #expect(cases.count == 8)
    for golden in cases {
      let plans = try Plans(contentsOf: folder.appendingPathComponent("\(golden.name)_plans.json"))
      let description = try DatasetDescription(contentsOf: folder.appendingPathComponent("\(golden.name)_dataset.json"))
      let export = try SegmentationExport(
        plans: plans, configuration: plans.configuration(named: golden.configuration), datasetDescription: description)
      let properties = CaseProperties(
        image: ImageProperties(spacing: golden.properties.spacing),
        shapeBeforeCropping: golden.properties.shapeBeforeCropping,
        boxUsedForCropping: golden.properties.bboxUsedForCropping,
        shapeAfterCroppingAndBeforeResampling: golden.properties.shapeAfterCroppingAndBeforeResampling)
      let group = try file.root.group(golden.name)
      let array = try group.read("logits", as: Float.self)
      let logits = VoxelGrid<Float>(shape: array.shape, elements: array.elements)
      let segmentation = try export.segmentation(of: logits, properties: properties)
      let (second, probabilities) = try export.segmentationAndProbabilities(of: logits, properties: properties)
      for (actual, key) in [(segmentation, "segmentation"), (second, "segmentation_with_probabilities")] {
        let expected = try group.read(key, as: Int16.self)
        #expect(actual.shape == [1] + expected.shape, "\(golden.name)")
        let equal =
          Double(zip(actual.elements, expected.elements).count { $0 == $1 }) / Double(expected.elements.count)
        #expect(equal >= 0.999, "\(golden.name) \(key): \(equal)")
        print("golden export \(golden.name) \(key): agreement \(equal)")
      }
      // Operation by operation as in the reference nothing is left that differs, but for the last bits of `exp`.
      let exact = try SegmentationExport(
        plans: plans, configuration: plans.configuration(named: golden.configuration), datasetDescription: description,
        followsReferenceOrder: true)
      let exactLabels = try exact.segmentation(of: logits, properties: properties)
      let (_, exactProbabilities) = try exact.segmentationAndProbabilities(of: logits, properties: properties)
      let expectedLabels = try group.read("segmentation", as: Int16.self)
      #expect(exactLabels.elements == expectedLabels.elements, "\(golden.name)")
      if group.contains("probabilities") {
        let expected = try group.read("probabilities", as: Float.self)
        expectClose(
          exactProbabilities.elements, shape: exactProbabilities.shape, expected.elements, shape: expected.shape,
          absolute: 1e-6, relativeToMaximum: 0, "\(golden.name), in the reference's order")
        expectClose(
          probabilities.elements, shape: probabilities.shape, expected.elements, shape: expected.shape,
          absolute: 2e-3, relativeToMaximum: 0, golden.name)
      }
    }
  }
}
