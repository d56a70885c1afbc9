import Augmentation
import Testing
import Volumes

@Suite struct SpatialGoldenTests {
  private func transform(_ entry: AugmentGolden.Case, isPlanar: Bool) -> SpatialTransform {
    let patch = entry.patch_size ?? []
    return SpatialTransform(
      patchSize: patch.count == 2 ? [1] + patch : patch, isPlanar: isPlanar || entry.dummy_2d == true,
      rotation: -1...1)
  }

  private func matrix(_ entry: AugmentGolden.Case, isPlanar: Bool) -> AffineMatrix? {
    if entry.angles == nil && entry.scale == nil { return nil }
    if isPlanar || entry.dummy_2d == true {
      return AffineMatrix(
        rotationInPlane: entry.angles?.last ?? 0, scales: entry.scale?.perAxis(2) ?? [1, 1])
    }
    return AffineMatrix(rotations: entry.angles ?? [0, 0, 0], scales: entry.scale?.perAxis(3) ?? [1, 1, 1])
  }

  @Test func affineMatricesAreThoseOfTheReference() throws {
    guard let golden = try AugmentGolden() else { return }
    for entry in golden.cases("spatial") {
      let isPlanar = try golden.isPlanar(entry.group + "/image")
      guard let expected = entry.affine, let actual = matrix(entry, isPlanar: isPlanar) else {
        #expect(entry.affine == nil)
        continue
      }
      let embedded =
        expected.count == 2 ? [1, 0, 0, 0] + expected[0] + [0] + expected[1] : expected.flatMap { $0 }
      for (a, e) in zip(actual.elements, embedded) { #expect(abs(a - e) < 1e-12, "\(entry.group)") }
    }
  }

  @Test func samplesEqualTheReference() throws {
    guard let golden = try AugmentGolden() else { return }
    for entry in golden.cases("spatial") {
      let isPlanar = try golden.isPlanar(entry.group + "/image")
      var transform = transform(entry, isPlanar: isPlanar)
      let parameters = matrix(entry, isPlanar: isPlanar)
      let original = TrainingSample(
        image: try golden.image(entry.group + "/image"), segmentation: try golden.labels(entry.group + "/seg"))
      var sample = original
      transform.apply(parameters, to: &sample)
      expectEqualImages(
        sample.image, try golden.image(entry.group + "/expected_image"), tolerance: parameters == nil ? 0 : 2e-4,
        entry.group)
      expectEqualLabels(
        sample.segmentation, try golden.labels(entry.group + "/expected_seg"),
        fraction: parameters == nil ? 1 : 0.999, entry.group)

      transform.labelSampling = .nearest
      sample = original
      transform.apply(parameters, to: &sample)
      expectEqualLabels(
        sample.segmentation, try golden.labels(entry.group + "/expected_seg_mode_nearest"), entry.group + " nearest")
    }
  }

  /// A transform that does nothing gives the central crop, and a quarter turn permutes voxels.
  @Test func identityAndQuarterTurn() {
    let size = [5, 6, 6]
    let count = size.reduce(1, *)
    let image = VoxelGrid(shape: [1] + size, elements: (0..<count).map { Float($0 % 17) })
    let labels = VoxelGrid(shape: [1] + size, elements: (0..<count).map { Int16($0 % 3) })
    let transform = SpatialTransform(patchSize: size, isPlanar: false, rotation: -1...1)
    var sample = TrainingSample(image: image, segmentation: labels)
    transform.apply(AffineMatrix(rotations: [0, 0, 0], scales: [1, 1, 1]), to: &sample)
    expectEqualImages(sample.image, image, tolerance: 1e-5, "identity")
    expectEqualLabels(sample.segmentation, labels, "identity")

    sample = TrainingSample(image: image, segmentation: labels)
    transform.apply(AffineMatrix(rotations: [.pi / 2, 0, 0], scales: [1, 1, 1]), to: &sample)
    var turned = labels
    for z in 0..<5 { for y in 0..<6 { for x in 0..<6 { turned[0, z, y, x] = labels[0, z, 5 - x, y] } } }
    expectEqualLabels(sample.segmentation, turned, "quarter turn")
  }
}
