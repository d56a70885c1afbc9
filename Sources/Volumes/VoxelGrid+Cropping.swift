import TensorCore

extension VoxelGrid {
  /// Cuts a box out of every channel; where the box reaches outside of the grid the result is `padding`.
  ///
  /// acvl_utils: `crop_and_pad_nd` with constant padding.
  public func cropped(to box: BoundingBox, padding: Element) -> VoxelGrid {
    check(box.lower.count == 3, "VoxelGrid.cropped: the box has \(box.lower.count) axes, expected 3")
    let size = box.shape
    let lower = (0..<3).map { max(0, box.lower[$0]) }
    let upper = (0..<3).map { min(shape[$0 + 1], box.upper[$0]) }
    let isInside = (0..<3).allSatisfy { box.lower[$0] >= 0 && box.upper[$0] <= shape[$0 + 1] }
    if isInside && size == spatialShape { return self }
    let resultShape = [channelCount] + size
    return VoxelGrid(shape: resultShape) { destination in
      guard let target = destination.baseAddress else { return }
      if !isInside { destination.initialize(repeating: padding) }
      let width = upper[2] - lower[2]
      guard width > 0, lower[0] < upper[0], lower[1] < upper[1] else { return }
      elements.withUnsafeBufferPointer { source in
        guard let source = source.baseAddress else { return }
        for c in 0..<channelCount {
          for z in lower[0]..<upper[0] {
            for y in lower[1]..<upper[1] {
              let row = (c * size[0] + z - box.lower[0]) * size[1] + y - box.lower[1]
              (target + row * size[2] + lower[2] - box.lower[2]).update(
                from: source + offset(c, z, y, lower[2]), count: width)
            }
          }
        }
      }
    }
  }

  /// Copies `patch` into the box that starts at `lower`; parts outside of this grid are left out.
  ///
  /// acvl_utils: `insert_crop_into_image`.
  public mutating func insert(_ patch: VoxelGrid, at lower: [Int]) {
    check(
      patch.channelCount == channelCount && lower.count == 3,
      "VoxelGrid.insert: a patch of shape \(patch.shape) at \(lower) does not fit a grid of shape \(shape)")
    let first = (0..<3).map { max(0, lower[$0]) }
    let last = (0..<3).map { min(shape[$0 + 1], lower[$0] + patch.shape[$0 + 1]) }
    guard (0..<3).allSatisfy({ first[$0] < last[$0] }) else { return }
    let width = last[2] - first[2]
    for c in 0..<channelCount {
      for z in first[0]..<last[0] {
        for y in first[1]..<last[1] {
          let target = offset(c, z, y, first[2])
          let source = patch.offset(c, z - lower[0], y - lower[1], first[2] - lower[2])
          elements.withUnsafeMutableBufferPointer { elements in
            patch.elements.withUnsafeBufferPointer { patch in
              for x in 0..<width { elements[target + x] = patch[source + x] }
            }
          }
        }
      }
    }
  }

  /// The grid with its spatial axes in another order: axis `i` of the result is axis `order[i]` of this grid.
  ///
  /// numpy: `transpose`, with the channels staying first.
  public func transposed(_ order: [Int]) -> VoxelGrid {
    check(order.sorted() == [0, 1, 2], "VoxelGrid.transposed: \(order) is not an order of three axes")
    if order == [0, 1, 2] { return self }
    let strides = [shape[2] * shape[3], shape[3], 1]
    let size = order.map { shape[$0 + 1] }
    let step = order.map { strides[$0] }
    let voxels = voxelCount
    // Of the result's axes, the one that X of this grid becomes, and the one that is X in neither.
    let fast = order.firstIndex(of: 2) ?? 2
    let outer = fast == 2 ? 0 : 1 - fast
    let steps = (size[1] * size[2], size[2])
    let outerTarget = outer == 0 ? steps.0 : steps.1
    let fastTarget = fast == 0 ? steps.0 : steps.1
    return VoxelGrid(shape: [channelCount] + size) { destination in
      guard let target = destination.baseAddress, voxels > 0 else { return }
      elements.withUnsafeBufferPointer { source in
        guard let source = source.baseAddress else { return }
        WorkerPool.shared.run(tasks: channelCount * size[outer]) { task in
          let (c, i) = (task / size[outer], task % size[outer])
          let from = source + c * voxels + i * step[outer]
          let to = target + c * voxels + i * outerTarget
          if fast == 2 {
            for y in 0..<size[1] { (to + y * steps.1).initialize(from: from + y * step[1], count: size[2]) }
          } else {
            Self.transposePlane(
              from, step[2], to, fastTarget, rows: size[fast], columns: size[2])
          }
        }
      }
    }
  }

  /// `to[row * rowStep + column] = from[column * columnStep + row]`.
  private static func transposePlane(
    _ from: UnsafePointer<Element>, _ columnStep: Int, _ to: UnsafeMutablePointer<Element>, _ rowStep: Int, rows: Int,
    columns: Int
  ) {
    // Blocks keep the lines of both sides in the cache until they are used up.
    let block = 32
    for firstRow in stride(from: 0, to: rows, by: block) {
      for firstColumn in stride(from: 0, to: columns, by: block) {
        for row in firstRow..<min(firstRow + block, rows) {
          for column in firstColumn..<min(firstColumn + block, columns) {
            (to + row * rowStep + column).initialize(to: from[column * columnStep + row])
          }
        }
      }
    }
  }

  /// The channels of several grids of the same spatial shape, in one grid.
  public static func stacking(_ grids: [VoxelGrid]) -> VoxelGrid {
    check(!grids.isEmpty, "VoxelGrid.stacking: no grids")
    let spatial = grids[0].spatialShape
    check(
      grids.allSatisfy { $0.spatialShape == spatial },
      "VoxelGrid.stacking: shapes \(grids.map(\.shape)) differ in space")
    if grids.count == 1 { return grids[0] }
    var elements: [Element] = []
    elements.reserveCapacity(grids.reduce(0) { $0 + $1.elements.count })
    for grid in grids { elements.append(contentsOf: grid.elements) }
    return VoxelGrid(shape: [grids.reduce(0) { $0 + $1.channelCount }] + spatial, elements: elements)
  }
}
