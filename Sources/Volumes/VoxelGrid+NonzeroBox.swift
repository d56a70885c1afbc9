extension VoxelGrid where Element == Float {
  /// The smallest box with all voxels where some channel isn't zero; the whole grid if all are zero.
  ///
  /// It equals the box of nnU-Net's `crop_to_nonzero`, because filling holes never moves a mask's border. Only what
  /// lies outside the box is looked at.
  package var nonzeroBox: BoundingBox {
    let size = spatialShape
    return elements.withUnsafeBufferPointer { values in
      func isEmpty(_ z: Int, _ y: Int, _ columns: Range<Int>) -> Bool {
        for channel in 0..<channelCount {
          let start = offset(channel, z, y, 0)
          for x in columns where values[start + x] != 0 { return false }
        }
        return true
      }
      func rowsAreEmpty(_ zs: Range<Int>, _ ys: Range<Int>, _ xs: Range<Int>) -> Bool {
        zs.allSatisfy { z in ys.allSatisfy { y in isEmpty(z, y, xs) } }
      }
      var (lower, upper) = ([0, 0, 0], size)
      func box(_ axis: Int, _ index: Int) -> Bool {
        let ranges = (0..<3).map { $0 == axis ? index..<index + 1 : lower[$0]..<upper[$0] }
        return rowsAreEmpty(ranges[0], ranges[1], ranges[2])
      }
      for axis in 0..<3 {
        while lower[axis] < upper[axis], box(axis, lower[axis]) { lower[axis] += 1 }
        if lower[axis] == upper[axis] { return BoundingBox(lower: [0, 0, 0], upper: size) }
        while box(axis, upper[axis] - 1) { upper[axis] -= 1 }
      }
      return BoundingBox(lower: lower, upper: upper)
    }
  }
}
