import TensorCore
import Volumes

/// Where the classes of a case lie, without its voxels: what preprocessing stores as `class_locations`.
public struct ForegroundLocations: Sendable {
  public struct Entry: Hashable, Sendable {
    /// The labels of the class or region; [-1] and all labels for `isAnnotation`.
    public var labels: [Int]
    /// How many voxels of it are stored.
    public var count: Int
    /// Whether these are all annotated voxels of a data set with an ignore label, not a class.
    public var isAnnotation: Bool

    public init(labels: [Int], count: Int, isAnnotation: Bool = false) {
      self.labels = labels
      self.count = count
      self.isAnnotation = isAnnotation
    }
  }

  /// In the order of the stored keys.
  public var entries: [Entry]
  /// The z, y, x position of a stored voxel: entry, then index below its count.
  public var voxel: @Sendable (_ entry: Int, _ index: Int) -> [Int]

  public init(entries: [Entry], voxel: @escaping @Sendable (_ entry: Int, _ index: Int) -> [Int]) {
    self.entries = entries
    self.voxel = voxel
  }
}

/// Chooses which box of a case becomes a training sample.
///
/// nnU-Net: `nnUNetDataLoader` in `training/dataloading/data_loader.py`.
public struct PatchSampler: Hashable, Sendable {
  /// The box that is read, z, y, x: the initial patch in training, the patch itself in validation.
  public var patchSize: [Int]
  /// What the network sees, z, y, x.
  public var finalPatchSize: [Int]
  /// The part of a batch that must show foreground.
  public var foregroundFraction: Double
  /// Draws for every sample whether it must show foreground, instead of forcing the last ones of the batch.
  public var isProbabilistic: Bool
  /// Whether the data set has an ignore label: random boxes are then centred on annotated voxels.
  public var hasIgnoreLabel: Bool

  /// - Parameters:
  ///   - patchSize: two sizes mean one slice.
  ///   - finalPatchSize: as many sizes as `patchSize`.
  public init(
    patchSize: [Int], finalPatchSize: [Int], foregroundFraction: Double = 0.33, isProbabilistic: Bool = false,
    hasIgnoreLabel: Bool = false
  ) {
    check(
      patchSize.count == finalPatchSize.count && (2...3).contains(patchSize.count),
      "PatchSampler: patch sizes \(patchSize) and \(finalPatchSize) do not fit each other")
    let slice = patchSize.count == 2 ? [1] : []
    self.patchSize = slice + patchSize
    self.finalPatchSize = slice + finalPatchSize
    self.foregroundFraction = foregroundFraction
    self.isProbabilistic = isProbabilistic
    self.hasIgnoreLabel = hasIgnoreLabel
  }

  /// The cases of a batch, with replacement.
  public func drawCases(
    outOf count: Int, batchSize: Int, using generator: inout RandomGenerator
  ) -> [Int] {
    check(count > 0, "PatchSampler.drawCases: there are no cases")
    return (0..<batchSize).map { _ in Int.random(in: 0..<count, using: &generator) }
  }

  /// Whether a sample of a batch must show foreground: the last ones are.
  public func forcesForeground(
    sample index: Int, batchSize: Int, using generator: inout RandomGenerator
  ) -> Bool {
    if isProbabilistic { return generator.draw(probability: foregroundFraction) }
    return index >= Int((Double(batchSize) * (1 - foregroundFraction)).rounded(.toNearestOrEven))
  }

  /// The box of a sample; it may reach outside of the case, where images are 0 and segmentations -1.
  ///
  /// - Parameter imageShape: of the preprocessed case, z, y, x.
  public func drawBox(
    imageShape: [Int], forceForeground: Bool, locations: ForegroundLocations,
    using generator: inout RandomGenerator
  ) -> BoundingBox {
    let bounds = lowerCornerRange(imageShape: imageShape)
    if let entry = chosenEntry(forceForeground: forceForeground, locations: locations, using: &generator) {
      let index = Int.random(in: 0..<locations.entries[entry].count, using: &generator)
      return box(around: locations.voxel(entry, index), imageShape: imageShape)
    }
    return box(at: bounds.map { Int.random(in: $0, using: &generator) })
  }

  /// The class to show, or `nil` for any place.
  private func chosenEntry(
    forceForeground: Bool, locations: ForegroundLocations, using generator: inout RandomGenerator
  ) -> Int? {
    let present = locations.entries.indices.filter { locations.entries[$0].count > 0 }
    guard forceForeground else {
      return hasIgnoreLabel ? present.first { locations.entries[$0].isAnnotation } : nil
    }
    // Every annotated voxel is only a last resort.
    let classes = present.filter { !locations.entries[$0].isAnnotation }
    let eligible = classes.isEmpty ? present : classes
    return eligible.isEmpty ? nil : eligible[Int.random(in: 0..<eligible.count, using: &generator)]
  }

  /// Where the lower corner of a random box may lie, along every axis.
  package func lowerCornerRange(imageShape: [Int]) -> [ClosedRange<Int>] {
    check(imageShape.count == 3, "PatchSampler: image shape \(imageShape) must be z, y, x")
    return (0..<3).map { axis in
      var padding = patchSize[axis] - finalPatchSize[axis]
      if padding + imageShape[axis] < patchSize[axis] { padding = patchSize[axis] - imageShape[axis] }
      // Halves are rounded towards the lower end: -3 / 2 is -2.
      let lower = -((padding + 1) / 2)
      return lower...(imageShape[axis] + padding / 2 + padding % 2 - patchSize[axis])
    }
  }

  /// The box with a voxel in its middle, moved in at the lower end of the case but not at the upper one.
  package func box(around voxel: [Int], imageShape: [Int]) -> BoundingBox {
    let bounds = lowerCornerRange(imageShape: imageShape)
    return box(at: (0..<3).map { max(bounds[$0].lowerBound, voxel[$0] - patchSize[$0] / 2) })
  }

  private func box(at lower: [Int]) -> BoundingBox {
    BoundingBox(lower: lower, upper: zip(lower, patchSize).map { $0 + $1 })
  }
}
