import Augmentation
import Foundation
import TensorCore
import TensorTestSupport
import Testing
import Volumes

/// What the real trainer configures for several patch sizes.
@Suite struct PipelineTests {
  private struct Pipeline {
    var name: String
    var json: [String: Any]

    static func all() throws -> [Pipeline] {
      guard let folder = Golden.folder("augment") else { return [] }
      let data = try Data(contentsOf: folder.appendingPathComponent("pipelines.json"))
      let list = try #require(try JSONSerialization.jsonObject(with: data) as? [[String: Any]])
      #expect(list.count == 6)
      return list.map { Pipeline(name: $0["name"] as? String ?? "", json: $0) }
    }

    func value<Value>(_ key: String, as type: Value.Type = Value.self) throws -> Value {
      try #require(json[key] as? Value, "\(name) \(key)")
    }

    func settings() throws -> AugmentationSettings {
      let geometry = AugmentationGeometry(patchSize: try value("patch_size"))
      let labels = try value("labels", as: [String: Any].self)
      let ignored = labels["ignore"] as? Int
      let values = labels.filter { $0.key != "ignore" && $0.key != "background" }.values
      let regions = values.map { ($0 as? [Int]) ?? [$0 as? Int ?? 0] }.sorted { $0.count > $1.count }
      let hasRegions = json["regions_class_order"] is [Int]
      return AugmentationSettings(
        geometry: geometry,
        deepSupervisionScales: AugmentationGeometry.deepSupervisionScales(strides: try value("strides")),
        useMaskForNorm: try value("use_mask_for_norm"), isCascaded: try value("is_cascaded"),
        foregroundLabels: hasRegions ? [1, 2, 3] : values.compactMap { $0 as? Int }.sorted(),
        regions: hasRegions ? regions : nil, ignoreLabel: ignored)
    }
  }

  @Test func geometryIsTheTrainers() throws {
    for pipeline in try Pipeline.all() {
      let geometry = AugmentationGeometry(patchSize: try pipeline.value("patch_size"))
      #expect(try geometry.initialPatchSize == pipeline.value("initial_patch_size"), "\(pipeline.name)")
      #expect(try geometry.usesDummy2D == pipeline.value("do_dummy_2d_data_aug"), "\(pipeline.name)")
      #expect(try geometry.mirrorAxes == pipeline.value("mirror_axes"), "\(pipeline.name)")
      let rotation: [Double] = try pipeline.value("rotation_for_DA")
      #expect(abs(geometry.rotation.lowerBound - rotation[0]) < 1e-12, "\(pipeline.name)")
      #expect(abs(geometry.rotation.upperBound - rotation[1]) < 1e-12, "\(pipeline.name)")
      let scales = AugmentationGeometry.deepSupervisionScales(strides: try pipeline.value("strides"))
      #expect(try scales == pipeline.value("deep_supervision_scales"), "\(pipeline.name)")
    }
  }

  @Test func trainingTransformsAreTheTrainers() throws {
    for pipeline in try Pipeline.all() {
      let actual = AugmentationPipeline.training(try pipeline.settings())
      try compare(actual, try pipeline.value("training_transforms"), pipeline)
    }
  }

  @Test func validationTransformsAreTheTrainers() throws {
    for pipeline in try Pipeline.all() {
      let actual = AugmentationPipeline.validation(try pipeline.settings())
      try compare(actual, try pipeline.value("validation_transforms"), pipeline)
    }
  }

  /// Describes every transform of ours as the reference describes its own, and compares.
  private func compare(_ actual: AugmentationPipeline, _ golden: [[String: Any]], _ pipeline: Pipeline) throws {
    // Merging channels and slices around a planar transform is part of that transform here.
    let expected = golden.filter {
      !["Convert3DTo2DTransform", "Convert2DTo3DTransform"].contains($0["transform"] as? String)
    }
    #expect(expected.count == actual.transforms.count, "\(pipeline.name)")
    let offset = try pipeline.value("patch_size", as: [Int].self).count == 2 ? 1 : 0
    for (transform, entry) in zip(actual.transforms, expected) {
      let name = try #require(entry["transform"] as? String)
      let parameters = try #require(entry["parameters"] as? [String: Any])
      let (ours, probability, values) = describe(transform, axisOffset: offset)
      #expect(ours == name, "\(pipeline.name)")
      #expect(probability == entry["apply_probability"] as? Double, "\(pipeline.name) \(name)")
      for (key, value) in values {
        let theirs = try #require(parameters[key], "\(pipeline.name) \(name) \(key)")
        let texts = try [value, theirs].map {
          String(decoding: try JSONSerialization.data(withJSONObject: [$0], options: .sortedKeys), as: UTF8.self)
        }
        #expect(texts[0] == texts[1], "\(pipeline.name) \(name) \(key)")
      }
    }
  }

  private func describe(
    _ transform: any SampleTransform, axisOffset: Int
  ) -> (name: String, probability: Double, parameters: [String: Any]) {
    func bounds(_ range: ClosedRange<Double>) -> [Double] { [range.lowerBound, range.upperBound] }
    func contrast(_ scalar: RandomScalar) -> Any {
      if case .balancedAroundOne(let range) = scalar { return ["BGContrast": bounds(range)] }
      return NSNull()
    }
    switch transform {
    case let spatial as SpatialTransform:
      return (
        "SpatialTransform", 1,
        [
          "patch_size": Array(spatial.patchSize[(spatial.isPlanar ? 1 : 0)...]),
          "p_rotation": spatial.rotationProbability, "rotation": bounds(spatial.rotation),
          "p_scaling": spatial.scalingProbability, "scaling": bounds(spatial.scaling),
          "padding_value_seg": Int(spatial.outsideLabel),
        ]
      )
    case let noise as RandomlyApplied<GaussianNoise>:
      return (
        "GaussianNoiseTransform", noise.probability,
        [
          "noise_variance": bounds(noise.base.deviation),
          "p_per_channel": noise.base.channelProbability, "synchronize_channels": true,
        ]
      )
    case let blur as RandomlyApplied<GaussianBlur>:
      return (
        "GaussianBlurTransform", blur.probability,
        [
          "blur_sigma": bounds(blur.base.sigma), "p_per_channel": blur.base.channelProbability,
          "synchronize_axes": false, "synchronize_channels": false,
        ]
      )
    case let brightness as RandomlyApplied<MultiplicativeBrightness>:
      return (
        "MultiplicativeBrightnessTransform", brightness.probability,
        ["multiplier_range": contrast(brightness.base.factor)]
      )
    case let transform as RandomlyApplied<Contrast>:
      return (
        "ContrastTransform", transform.probability,
        ["contrast_range": contrast(transform.base.factor), "preserve_range": true]
      )
    case let low as RandomlyApplied<SimulateLowResolution>:
      // A sample of a two-dimensional configuration has one slice, which keeps its resolution anyway.
      let ignored: Any =
        axisOffset == 1 || low.base.ignoredAxes.isEmpty ? NSNull() : low.base.ignoredAxes
      return (
        "SimulateLowResolutionTransform", low.probability,
        [
          "scale": bounds(low.base.scale), "p_per_channel": low.base.channelProbability,
          "ignore_axes": ignored, "synchronize_axes": true,
        ]
      )
    case let gamma as RandomlyApplied<Gamma>:
      return (
        "GammaTransform", gamma.probability,
        [
          "gamma": contrast(gamma.base.exponent), "p_invert_image": (gamma.base.inverts ? 1 : 0),
          "p_retain_stats": (gamma.base.retainsStatistics ? 1 : 0),
        ]
      )
    case let mirror as Mirror:
      return ("MirrorTransform", 1, ["allowed_axes": mirror.allowedAxes.map { $0 - axisOffset }])
    case let mask as MaskImage:
      return ("MaskImageTransform", 1, ["apply_to_channels": mask.channels])
    case let remove as RemoveLabel:
      return (
        "RemoveLabelTransform", 1,
        ["label_value": Int(remove.label), "set_to": Int(remove.replacement)]
      )
    case let move as MoveSegmentationToImage:
      return (
        "MoveSegAsOneHotToDataTransform", 1,
        ["source_channel_idx": move.sourceChannel, "all_labels": move.labels.map { Int($0) }]
      )
    case let binary as RandomlyApplied<RandomBinaryOperator>:
      return (
        "ApplyRandomBinaryOperatorTransform", binary.probability,
        [
          "channel_idx": Array(-binary.base.oneHotCount..<0), "strel_size": bounds(binary.base.radius),
          "p_per_label": binary.base.channelProbability,
        ]
      )
    case let remove as RandomlyApplied<RemoveRandomComponent>:
      return (
        "RemoveRandomConnectedComponentFromOneHotEncodingTransform", remove.probability,
        [
          "channel_idx": Array(-remove.base.oneHotCount..<0),
          "dont_do_if_covers_more_than_x_percent": remove.base.largestFraction,
          "p_per_label": remove.base.channelProbability, "fill_with_other_class_p": 0,
        ]
      )
    case let regions as ConvertToRegions:
      return (
        "ConvertSegmentationToRegionsTransform", 1,
        ["regions": regions.regions.map { $0.map { Double($0) } }]
      )
    case let levels as DownsampleForDeepSupervision:
      return (
        "DownsampleSegForDSTransform", 1,
        ["ds_scales": levels.scales.map { Array($0[axisOffset...]) }]
      )
    default:
      return (String(describing: transform), 1, [:])
    }
  }

  // MARK: Whole pipelines

  private func sample(_ settings: AugmentationSettings, seed: UInt64) -> TrainingSample {
    var generator = RandomGenerator(seed: seed)
    let patch = settings.geometry.initialPatchSize
    let size = (patch.count == 2 ? [1] : []) + patch
    let count = size.reduce(1, *)
    let channels = max(1, settings.useMaskForNorm.count)
    let labels = settings.isCascaded ? 2 : 1
    return TrainingSample(
      image: VoxelGrid(
        shape: [channels] + size, elements: (0..<channels * count).map { _ in generator.uniform() * 4 - 2 }),
      segmentation: VoxelGrid(
        shape: [labels] + size, elements: (0..<labels * count).map { Int16(($0 / 11) % 5) - 1 }))
  }

  private func variants() -> [AugmentationSettings] {
    [
      AugmentationSettings(
        geometry: .init(patchSize: [12, 18, 14]), deepSupervisionScales: [[1, 1, 1], [0.5, 0.5, 0.5]]),
      AugmentationSettings(
        geometry: .init(patchSize: [6, 28, 24]), deepSupervisionScales: nil, useMaskForNorm: [true, false]),
      AugmentationSettings(
        geometry: .init(patchSize: [33, 20]), deepSupervisionScales: [[1, 1], [0.5, 0.5]],
        regions: [[1, 2], [2]], ignoreLabel: 3),
      AugmentationSettings(
        geometry: .init(patchSize: [12, 12, 16]), deepSupervisionScales: [[1, 1, 1]], isCascaded: true,
        foregroundLabels: [1, 2, 3]),
    ]
  }

  @Test func sameSeedSameSampleAndRightShapes() {
    for (index, settings) in variants().enumerated() {
      let pipeline = AugmentationPipeline.training(settings)
      let input = sample(settings, seed: UInt64(index))
      let patch = (settings.geometry.patchSize.count == 2 ? [1] : []) + settings.geometry.patchSize
      var images: Set<[Float]> = []
      for seed in 0..<40 as Range<UInt64> {
        var first = RandomGenerator(seed: seed)
        var second = first
        let a = pipeline(input, using: &first)
        let b = pipeline(input, using: &second)
        #expect(a.image == b.image && a.targets == b.targets && first == second)
        #expect(a.image.spatialShape == patch)
        #expect(a.image.elements.allSatisfy { $0.isFinite })
        #expect(a.targets.count == settings.deepSupervisionScales?.count ?? 1)
        #expect(a.targets.allSatisfy { $0.elements.allSatisfy { $0 >= 0 } })
        images.insert(a.image.elements)
        if settings.isCascaded {
          #expect(a.image.channelCount == 4 && a.segmentation.channelCount == 1)
          #expect(a.image.elements.dropFirst(patch.reduce(1, *)).allSatisfy { $0 == 0 || $0 == 1 })
        }
        if settings.regions != nil { #expect(a.targets[0].channelCount == 3) }
      }
      // Some seeds change nothing but the mirroring.
      #expect(images.count > 30, "different seeds give different samples")
    }
  }

  @Test func validationOnlyPreparesTargets() {
    for settings in variants() {
      let input = sample(settings, seed: 3)
      var generator = RandomGenerator(seed: 0)
      let output = AugmentationPipeline.validation(settings)(input, using: &generator)
      #expect(generator.position == 0)
      #expect(output.image.elements.starts(with: input.image.elements))
      #expect(output.targets.allSatisfy { $0.elements.allSatisfy { $0 >= 0 } })
    }
  }

  /// The copy that a caller keeps is not changed.
  @Test func inputStaysWhatItWas() {
    let settings = variants()[0]
    let input = sample(settings, seed: 9)
    let before = input.image
    for seed in 0..<20 as Range<UInt64> {
      var generator = RandomGenerator(seed: seed)
      _ = AugmentationPipeline.training(settings)(input, using: &generator)
      #expect(input.image == before)
    }
  }
}
