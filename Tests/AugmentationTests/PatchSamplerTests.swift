import Augmentation
import Foundation
import TensorCore
import TensorTestSupport
import Testing
import Volumes

@Suite struct PatchSamplerTests {
  private struct Tables: Decodable {
    struct InitialPatch: Decodable {
      var patch_size: [Int]
      var rotation_degrees: Double
      var scale_range: [Double]
      var initial_patch_size: [Int]
    }
    struct Oversampling: Decodable {
      var batch_size: Int
      var oversample_foreground_percent: Double
      var force_fg: [Bool]
    }
    struct Box: Decodable {
      var data_shape: [Int]
      var patch_size: [Int]
      var final_patch_size: [Int]
      var random_bbox_lb_min: [Int]
      var random_bbox_lb_max: [Int]
      var foreground_voxel: [Int]
      var foreground_bbox_lb: [Int]
      var foreground_bbox_ub: [Int]
    }
    var get_patch_size: [InitialPatch]
    var oversample_foreground: [Oversampling]
    var get_bbox: [Box]

    static func load() throws -> Tables? {
      guard let folder = Golden.folder("augment") else { return nil }
      let data = try Data(contentsOf: folder.appendingPathComponent("tables.json"))
      return try JSONDecoder().decode(Tables.self, from: data)
    }
  }

  @Test func initialPatchSizes() throws {
    guard let tables = try Tables.load() else { return }
    #expect(!tables.get_patch_size.isEmpty)
    for entry in tables.get_patch_size {
      let size = AugmentationGeometry.initialPatchSize(
        for: entry.patch_size, rotation: entry.rotation_degrees / 360 * 2 * .pi,
        smallestScale: entry.scale_range.min() ?? 0)
      #expect(size == entry.initial_patch_size, "\(entry)")
    }
  }

  @Test func oversampling() throws {
    guard let tables = try Tables.load() else { return }
    #expect(!tables.oversample_foreground.isEmpty)
    for entry in tables.oversample_foreground {
      let sampler = PatchSampler(
        patchSize: [4, 4, 4], finalPatchSize: [4, 4, 4], foregroundFraction: entry.oversample_foreground_percent)
      var generator = RandomGenerator(seed: 0)
      let forced = (0..<entry.batch_size).map {
        sampler.forcesForeground(sample: $0, batchSize: entry.batch_size, using: &generator)
      }
      #expect(forced == entry.force_fg, "\(entry)")
      #expect(generator.position == 0)
    }
  }

  @Test func boxes() throws {
    guard let tables = try Tables.load() else { return }
    #expect(!tables.get_bbox.isEmpty)
    for entry in tables.get_bbox {
      let sampler = PatchSampler(patchSize: entry.patch_size, finalPatchSize: entry.final_patch_size)
      let ranges = sampler.lowerCornerRange(imageShape: entry.data_shape)
      #expect(ranges.map(\.lowerBound) == entry.random_bbox_lb_min, "\(entry)")
      #expect(ranges.map(\.upperBound) == entry.random_bbox_lb_max, "\(entry)")
      let box = sampler.box(around: entry.foreground_voxel, imageShape: entry.data_shape)
      #expect(box.lower == entry.foreground_bbox_lb && box.upper == entry.foreground_bbox_ub, "\(entry)")

      let locations = ForegroundLocations(entries: [.init(labels: [1], count: 1)]) { _, _ in entry.foreground_voxel }
      var generator = RandomGenerator(seed: 5)
      let forced = sampler.drawBox(
        imageShape: entry.data_shape, forceForeground: true, locations: locations, using: &generator)
      #expect(forced == box)
      for _ in 0..<20 {
        let random = sampler.drawBox(
          imageShape: entry.data_shape, forceForeground: false, locations: locations, using: &generator)
        #expect(random.shape == entry.patch_size)
        #expect(zip(random.lower, ranges).allSatisfy { $1.contains($0) })
      }
    }
  }

  private func choices(
    _ sampler: PatchSampler, _ entries: [ForegroundLocations.Entry], forceForeground: Bool
  ) -> [Int: Int] {
    // Every entry's voxels lie in a plane of their own, so that the box tells which was chosen.
    let locations = ForegroundLocations(entries: entries) { entry, index in [10 * (entry + 1), 30, 20 + index] }
    var generator = RandomGenerator(seed: 77)
    var counts: [Int: Int] = [:]
    for _ in 0..<6000 {
      let box = sampler.drawBox(
        imageShape: [60, 60, 60], forceForeground: forceForeground, locations: locations, using: &generator)
      let centred = box.lower[1] == 28 && box.lower[0] % 10 == 8
      counts[centred ? (box.lower[0] + 2) / 10 - 1 : -1, default: 0] += 1
    }
    return counts
  }

  @Test func classesAreBalanced() {
    let sampler = PatchSampler(patchSize: [4, 4, 4], finalPatchSize: [4, 4, 4])
    let entries: [ForegroundLocations.Entry] = [
      .init(labels: [1], count: 10), .init(labels: [2], count: 0), .init(labels: [3], count: 2),
      .init(labels: [-1, 0, 1, 2, 3], count: 30, isAnnotation: true),
    ]
    let counts = choices(sampler, entries, forceForeground: true)
    #expect(Set(counts.keys) == [0, 2])
    #expect(abs(Double(counts[0] ?? 0) / 6000 - 0.5) < 0.04)
  }

  @Test func annotatedVoxelsAreTheLastResort() {
    var sampler = PatchSampler(patchSize: [4, 4, 4], finalPatchSize: [4, 4, 4])
    let entries: [ForegroundLocations.Entry] = [
      .init(labels: [1], count: 0), .init(labels: [-1, 0, 1], count: 5, isAnnotation: true),
    ]
    #expect(Set(choices(sampler, entries, forceForeground: true).keys) == [1])
    // With an ignore label every box shows something annotated.
    sampler.hasIgnoreLabel = true
    #expect(Set(choices(sampler, entries, forceForeground: false).keys) == [1])
    // Without foreground any place will do.
    let random = choices(sampler, [.init(labels: [1], count: 0)], forceForeground: true)
    #expect((random[-1] ?? 0) > 5000)
  }

  @Test func casesAreDrawnWithReplacement() {
    let sampler = PatchSampler(patchSize: [4, 4], finalPatchSize: [4, 4], isProbabilistic: true)
    #expect(sampler.patchSize == [1, 4, 4])
    var generator = RandomGenerator(seed: 1)
    var counts = [0, 0, 0]
    for _ in 0..<1000 {
      for index in sampler.drawCases(outOf: 3, batchSize: 9, using: &generator) { counts[index] += 1 }
    }
    #expect(counts.allSatisfy { abs($0 - 3000) < 250 })
    let forced = (0..<9000).filter { _ in sampler.forcesForeground(sample: 0, batchSize: 9, using: &generator) }
    #expect(abs(forced.count - 2970) < 250)
  }
}
