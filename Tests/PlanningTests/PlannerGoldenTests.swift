import Datasets
import Foundation
import Planning
import TensorTestSupport
import Testing

@Suite struct PlannerGoldenTests {
  /// The written text equals nnU-Net's, byte for byte.
  @Test func everyPlannerWritesThePlansOfNNUNet() throws {
    guard let folder = Golden.folder("planner") else { return }
    var count = 0
    var planners: Set<String> = []
    for name in try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() {
      let folder = folder.appendingPathComponent(name)
      let index = try JSONField(contentsOf: folder.appendingPathComponent("index.json"))
      let description = try DatasetDescription(contentsOf: folder.appendingPathComponent("dataset.json"))
      let fingerprint = try DatasetFingerprint(
        contentsOf: folder.appendingPathComponent("dataset_fingerprint.json"))
      for entry in try index.field("plans").elements() {
        var planner = try ExperimentPlanner.named(entry.field("planner").string())
        planners.insert(planner.name)
        if let target = try entry.optionalField("gpu_memory_target") { planner.memoryTarget = try target.double() }
        if let name = try entry.optionalField("overwrite_plans_name") { planner.plansName = try name.string() }
        planner.overwriteTargetSpacing = try entry.optionalField("overwrite_target_spacing")?.doubles()
        let file = try entry.field("plans_file").string()
        #expect(planner.plansName + ".json" == file)
        let planned = try planner.plan(
          datasetName: index.field("dataset_name").string(), description: description, fingerprint: fingerprint,
          readerWriterName: description.fileEnding == ".png" ? "NaturalImage2DIO" : "SimpleITKIO")
        let expected = try JSONValue(contentsOf: folder.appendingPathComponent(file))
        let difference = firstDifference(.object(planned.json), expected, at: "")
        #expect(difference == nil, "\(name)/\(file): \(difference ?? "")")
        let text = try String(contentsOf: folder.appendingPathComponent(file), encoding: .utf8)
        if difference == nil { #expect(JSONValue.object(planned.json).text() == text, "\(name)/\(file)") }
        count += 1
      }
    }
    #expect(count >= 60)
    #expect(planners == Set(ExperimentPlanner.all.map(\.name)))
  }

  /// The first place where two values differ: keys, their order, types and values.
  private func firstDifference(_ found: JSONValue, _ expected: JSONValue, at path: String) -> String? {
    switch (found, expected) {
    case (.object(let a), .object(let b)):
      guard Array(a.keys) == Array(b.keys) else { return "\(path): keys \(a.keys) instead of \(b.keys)" }
      for (key, value) in a {
        if let expected = b[key], let difference = firstDifference(value, expected, at: path + "." + key) {
          return difference
        }
      }
      return nil
    case (.array(let a), .array(let b)):
      guard a.count == b.count else {
        return "\(path): \(found.text(indent: nil)) instead of \(expected.text(indent: nil))"
      }
      for (index, (a, b)) in zip(a, b).enumerated() {
        if let difference = firstDifference(a, b, at: "\(path)[\(index)]") { return difference }
      }
      return nil
    default:
      return found == expected ? nil : "\(path): \(found.text(indent: nil)) instead of \(expected.text(indent: nil))"
    }
  }

  @Test func featureMapSizesAreThoseOfTheNetworks() throws {
    guard let folder = Golden.folder("networks") else { return }
    var count = 0
    for name in try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() {
      let folder = folder.appendingPathComponent(name)
      let metadata = folder.appendingPathComponent("meta.json")
      guard FileManager.default.fileExists(atPath: metadata.path),
        let expected = try JSONValue(contentsOf: metadata)["compute_conv_feature_map_size"]?["deep_supervision_false"]?
          .int
      else { continue }
      let architecture = try JSONField(contentsOf: folder.appendingPathComponent("architecture.json"))
      let arguments = try architecture.field("arch_kwargs")
      let isResidual = try architecture.field("network_class_name").string().contains("Residual")
      let plans = try Plans(contentsOf: folder.appendingPathComponent("plans.json"))
      let configuration = try plans.configuration(named: try #require(plans.configurationNames.first))
      let description = try DatasetDescription(contentsOf: folder.appendingPathComponent("dataset.json"))
      let size = FeatureMapSize(
        encoder: isResidual ? .residual : .plain,
        featuresPerStage: try arguments.field("features_per_stage").ints(),
        strides: try arguments.field("strides").elements().map { try $0.ints() },
        blocksPerStage: try arguments.field(isResidual ? "n_blocks_per_stage" : "n_conv_per_stage").ints(),
        convolutionsPerDecoderStage: try arguments.field("n_conv_per_stage_decoder").ints(),
        outputChannels: try LabelManager(description).segmentationHeadCount)
      #expect(size(patchSize: configuration.patchSize) == expected, "\(name)")
      count += 1
    }
    #expect(count >= 9)
  }
}
