import Augmentation
import HDF5Files
import Testing
import Volumes

@Suite struct LabelGoldenTests {
  @Test func mirror() throws {
    guard let golden = try AugmentGolden() else { return }
    for entry in golden.cases("mirror") {
      let image = try golden.image(entry.group + "/image")
      let labels = VoxelGrid(shape: image.shape, elements: image.elements.map { Int16($0 * 100) })
      var sample = TrainingSample(image: image, segmentation: labels)
      Mirror(allowedAxes: [0, 1, 2]).apply(entry.axes ?? [], to: &sample)
      let expected = try golden.image(entry.group + "/expected")
      #expect(sample.image == expected, "\(entry.group)")
      #expect(sample.segmentation.elements == expected.elements.map { Int16($0 * 100) }, "\(entry.group)")
    }
  }

  @Test func maskImage() throws {
    guard let golden = try AugmentGolden() else { return }
    for entry in golden.cases("mask_image") {
      var sample = TrainingSample(
        image: try golden.image(entry.group + "/image"), segmentation: try golden.labels(entry.group + "/seg"))
      MaskImage(channels: entry.apply_to_channels ?? []).apply((), to: &sample)
      #expect(try sample.image == golden.image(entry.group + "/expected"))
    }
  }

  @Test func removeLabel() throws {
    guard let golden = try AugmentGolden() else { return }
    for entry in golden.cases("remove_label") {
      var sample = try labelSample(golden, entry)
      RemoveLabel().apply((), to: &sample)
      expectEqualLabels(sample.segmentation, try golden.labels(entry.group + "/expected"), entry.group)
    }
  }

  @Test func regions() throws {
    guard let golden = try AugmentGolden() else { return }
    for entry in golden.cases("regions") {
      var sample = try labelSample(golden, entry)
      ConvertToRegions(regions: (entry.regions ?? []).map(\.labels)).apply((), to: &sample)
      expectEqualLabels(sample.segmentation, try golden.labels(entry.group + "/expected"), entry.group)
    }
  }

  @Test func deepSupervision() throws {
    guard let golden = try AugmentGolden() else { return }
    for entry in golden.cases("deep_supervision") {
      var sample = try labelSample(golden, entry)
      let scales = (entry.scales ?? []).map { $0.count == 2 ? [1] + $0 : $0 }
      DownsampleForDeepSupervision(scales: scales).apply((), to: &sample)
      #expect(sample.targets.count == scales.count)
      for (level, target) in sample.targets.enumerated() {
        expectEqualLabels(target, try golden.labels(entry.group + "/expected/\(level)"), "\(entry.group) \(level)")
      }
    }
  }

  @Test func moveSegmentationToImage() throws {
    guard let golden = try AugmentGolden() else { return }
    for entry in golden.cases("move_seg_as_onehot") {
      var sample = TrainingSample(
        image: try golden.image(entry.group + "/image"), segmentation: try golden.labels(entry.group + "/seg"))
      MoveSegmentationToImage(sourceChannel: entry.source_channel_idx ?? 0, labels: entry.all_labels ?? [])
        .apply((), to: &sample)
      #expect(try sample.image == golden.image(entry.group + "/expected_image"))
      expectEqualLabels(sample.segmentation, try golden.labels(entry.group + "/expected_seg"), entry.group)
    }
  }

  @Test func binaryOperators() throws {
    guard let golden = try AugmentGolden() else { return }
    for entry in golden.cases("binary_operator") {
      let name = entry.image ?? ""
      let image = try golden.image(name)
      let operation = try #require(BinaryOperation(rawValue: entry.operator ?? ""))
      let transform = RandomBinaryOperator(
        oneHotCount: entry.channel_idx?.count ?? 0, isPlanar: try golden.isPlanar(name))
      var sample = TrainingSample(image: image, segmentation: AugmentGolden.noLabels(for: image))
      transform.apply(
        [
          .init(
            channel: entry.apply_to_channel?.indices.first ?? 0, operation: operation,
            radius: entry.strel_size ?? 0)
        ], to: &sample)
      #expect(try sample.image == golden.image(entry.group + "/expected"), "\(entry.group)")
    }
  }

  @Test func removeComponent() throws {
    guard let golden = try AugmentGolden() else { return }
    for entry in golden.cases("remove_component") {
      let image = try golden.image(entry.group + "/image")
      let expected = try golden.image(entry.group + "/expected")
      for choice in [0, 0.5, 0.999] {
        var sample = TrainingSample(image: image, segmentation: AugmentGolden.noLabels(for: image))
        RemoveRandomComponent(oneHotCount: 2)
          .apply([.init(channel: entry.apply_to_channel?.indices.first ?? 0, choice: choice)], to: &sample)
        #expect(sample.image == expected)
      }
    }
  }

  @Test func cropAndPad() throws {
    guard let golden = try AugmentGolden() else { return }
    for entry in golden.cases("crop_and_pad") {
      let bounds = entry.bbox ?? []
      let box = BoundingBox(lower: bounds.map { $0[0] }, upper: bounds.map { $0[1] })
      let image = try golden.image(entry.group + "/image").cropped(to: box, padding: 0)
      let labels = try golden.labels(entry.group + "/seg").cropped(to: box, padding: -1)
      #expect(try image == golden.image(entry.group + "/expected_image"))
      expectEqualLabels(labels, try golden.labels(entry.group + "/expected_seg"), entry.group)
    }
  }

  /// Components that touch at a corner are one, and only small ones go.
  @Test func componentsTouchAtCorners() {
    var image = VoxelGrid<Float>(shape: [1, 4, 8, 70], repeating: 0)
    for (z, y, x) in [(0, 0, 0), (1, 1, 1), (2, 2, 0), (0, 5, 66), (0, 5, 67), (1, 6, 68)] { image[0, z, y, x] = 1 }
    let labels = AugmentGolden.noLabels(for: image)
    for (choice, kept) in [(0.0, 66), (0.9, 0)] {
      var sample = TrainingSample(image: image, segmentation: labels)
      RemoveRandomComponent(oneHotCount: 1).apply([.init(channel: -1, choice: choice)], to: &sample)
      #expect(sample.image.elements.reduce(0, +) == 3)
      #expect(sample.image[0, 0, kept == 0 ? 0 : 5, kept] == 1)
    }
  }

  private func labelSample(_ golden: AugmentGolden, _ entry: AugmentGolden.Case) throws -> TrainingSample {
    let labels = try golden.labels(entry.group + "/seg")
    return TrainingSample(
      image: VoxelGrid(shape: [1] + labels.spatialShape, repeating: 0), segmentation: labels)
  }
}
