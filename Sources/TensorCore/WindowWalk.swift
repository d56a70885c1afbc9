/// Visits, for an output voxel of a sliding window, the input voxels under it.
struct WindowWalk: Sendable {
  private let window: PoolingWindow
  private let input: [Int]
  private let output: [Int]
  let outputsPerInstance: Int
  private let inputsPerInstance: Int
  let outputCount: Int

  init(_ window: PoolingWindow, input: Shape, output: Shape) {
    self.window = window
    self.input = input.spatial
    self.output = output.spatial
    outputsPerInstance = output.spatial.reduce(1, *)
    inputsPerInstance = input.spatial.reduce(1, *)
    outputCount = output[0] * outputsPerInstance
  }

  /// Calls `body` with the input voxel (counted over all instances) and its place in the window, row-major.
  func forEachTap(of voxel: Int, _ body: (_ input: Int, _ tap: Int) -> Void) {
    let (instance, position) = voxel.quotientAndRemainder(dividingBy: outputsPerInstance)
    var rest = position
    var ranges = [Range<Int>](repeating: 0..<0, count: input.count)
    var origins = [Int](repeating: 0, count: input.count)
    for axis in input.indices.reversed() {
      let (quotient, index) = rest.quotientAndRemainder(dividingBy: output[axis])
      rest = quotient
      ranges[axis] = window.indices(axis, output: index, extent: input[axis])
      origins[axis] = index * window.stride[axis] - window.padding[axis]
    }
    func visit(_ axis: Int, _ voxel: Int, _ tap: Int) {
      if axis == ranges.count { return body(voxel, tap) }
      for index in ranges[axis] {
        visit(axis + 1, voxel * input[axis] + index, tap * window.kernel[axis] + index - origins[axis])
      }
    }
    visit(0, instance, 0)
  }
}
