import Datasets
import Volumes

extension ClassLocations {
  /// Draws voxels of every class as nnU-Net does: at most 10,000 of a class, but at least one in a hundred, without
  /// repetition, by numpy's legacy generator with seed 1234.
  ///
  /// nnU-Net: `DefaultPreprocessor._sample_foreground_locations`.
  /// - Parameters:
  ///   - segmentation: the resampled label map `[1, Z, Y, X]`.
  ///   - classes: in the order in which nnU-Net draws them.
  init(sampling segmentation: VoxelGrid<Int16>, classes: [(labels: [Int], isTuple: Bool)]) {
    let requested = Set(classes.flatMap(\.labels).compactMap { Int16(exactly: $0) })
    let positions = Self.positions(of: requested, in: segmentation)
    var random = NumPyRandomState(seed: 1234)
    let (height, width) = (segmentation.shape[2], segmentation.shape[3])
    entries = classes.map { labels, isTuple in
      let ranges = labels.compactMap { Int16(exactly: $0) }.compactMap { positions[$0] }.filter { !$0.isEmpty }
      let total = ranges.reduce(0) { $0 + $1.count }
      guard total > 0 else { return Entry(labels: labels, isTuple: isTuple, voxels: []) }
      let count = max(min(10_000, total), Int((Double(total) * 0.01).rounded(.up)))
      // numpy's choice without replacement is a shuffle of all.
      var offsets = Array(0..<UInt32(total))
      random.shuffle(&offsets)
      var voxels: [Int32] = []
      voxels.reserveCapacity(3 * count)
      for offset in offsets[0..<count] {
        var rest = Int(offset)
        var range = 0
        while rest >= ranges[range].count {
          rest -= ranges[range].count
          range += 1
        }
        let voxel = Int(ranges[range][rest])
        voxels.append(Int32(voxel / (height * width)))
        voxels.append(Int32(voxel / width % height))
        voxels.append(Int32(voxel % width))
      }
      return Entry(labels: labels, isTuple: isTuple, voxels: voxels)
    }
  }

  /// The voxels of every requested label, in scanning order.
  private static func positions(
    of requested: Set<Int16>, in segmentation: VoxelGrid<Int16>
  ) -> [Int16: [UInt32]] {
    let labels = segmentation.elements
    guard let lowest = requested.min(), let highest = requested.max() else { return [:] }
    var slots = [Int](repeating: -1, count: Int(highest) - Int(lowest) + 1)
    for (slot, label) in requested.sorted().enumerated() { slots[Int(label) - Int(lowest)] = slot }
    var lists: [[UInt32]] = Array(repeating: [], count: requested.count)
    labels.withUnsafeBufferPointer { labels in
      for i in labels.indices {
        let index = Int(labels[i]) - Int(lowest)
        guard index >= 0, index < slots.count, slots[index] >= 0 else { continue }
        lists[slots[index]].append(UInt32(truncatingIfNeeded: i))
      }
    }
    return Dictionary(uniqueKeysWithValues: zip(requested.sorted(), lists))
  }
}
