import Augmentation
import Testing
import Volumes

@Suite struct IntensityGoldenTests {
  private let tolerance: Float = 1e-4

  private func check(
    _ golden: AugmentGolden, _ entry: AugmentGolden.Case, _ apply: (inout TrainingSample) -> Void
  ) throws {
    let image = try golden.image(entry.group + "/image")
    var sample = TrainingSample(image: image, segmentation: AugmentGolden.noLabels(for: image))
    apply(&sample)
    let expected = try golden.image(entry.group + "/expected")
    expectEqualImages(sample.image, expected, tolerance: tolerance, entry.group)
    // The comparison must be able to fail: the case changes its image.
    #expect(expected != image, "\(entry.group) changes nothing")
  }

  @Test func gaussianBlur() throws {
    guard let golden = try AugmentGolden() else { return }
    for entry in golden.cases("gaussian_blur") {
      let isPlanar = try golden.isPlanar(entry.group + "/image")
      let channels = entry.apply_to_channel?.indices ?? []
      let blurs = zip(channels, entry.sigmas ?? []).map { channel, sigmas in
        GaussianBlur.ChannelBlur(channel: channel, sigmas: isPlanar ? [0] + sigmas : sigmas)
      }
      for (sigma, kernel) in zip(entry.sigmas?.first ?? [], entry.kernels ?? []) {
        let weights = GaussianBlur.weights(sigma: sigma)
        #expect(weights.count == kernel.count)
        for (a, e) in zip(weights, kernel) { #expect(abs(a - e) < 1e-6) }
      }
      try check(golden, entry) { GaussianBlur(isPlanar: isPlanar).apply(blurs, to: &$0) }
    }
  }

  @Test func brightness() throws {
    guard let golden = try AugmentGolden() else { return }
    for entry in golden.cases("brightness") {
      try check(golden, entry) { MultiplicativeBrightness().apply(entry.multipliers ?? [], to: &$0) }
    }
  }

  @Test func contrast() throws {
    guard let golden = try AugmentGolden() else { return }
    for entry in golden.cases("contrast") {
      try check(golden, entry) { Contrast().apply(entry.multipliers ?? [], to: &$0) }
    }
  }

  @Test func lowResolution() throws {
    guard let golden = try AugmentGolden() else { return }
    for entry in golden.cases("low_resolution") {
      let isPlanar = try golden.isPlanar(entry.group + "/image")
      let scales = zip(entry.apply_to_channel?.indices ?? [], entry.scales ?? []).map { channel, scale in
        // The reference holds scales in single precision.
        SimulateLowResolution.ChannelScale(
          channel: channel, scale: (isPlanar ? [1] : []) + scale.map { Double(Float($0)) })
      }
      try check(golden, entry) { SimulateLowResolution(ignoredAxes: []).apply(scales, to: &$0) }
    }
  }

  @Test func gamma() throws {
    guard let golden = try AugmentGolden() else { return }
    for entry in golden.cases("gamma") {
      let transform = Gamma(inverts: entry.invert == true, retainsStatistics: entry.retain_stats == true)
      try check(golden, entry) { transform.apply(entry.gamma ?? [], to: &$0) }
    }
  }

  /// A constant image has no range and no deviation; it must stay finite.
  @Test func constantImagesStayFinite() {
    for inverts in [false, true] {
      let image = VoxelGrid<Float>(shape: [1, 3, 4, 5], repeating: 2.5)
      var sample = TrainingSample(image: image, segmentation: AugmentGolden.noLabels(for: image))
      Gamma(inverts: inverts).apply([0.7], to: &sample)
      Contrast().apply([1.2], to: &sample)
      expectEqualImages(sample.image, image, tolerance: 1e-6, "constant")
    }
  }
}
