/// Kernel sizes, strides and the patch size that suits them, from spacing and a wished patch size.
///
/// nnU-Net: experiment_planning/experiment_planners/network_topology.py, `get_pool_and_conv_props`.
struct NetworkTopology: Equatable {
  /// Stage by stage, the first all ones.
  let strides: [[Int]]
  let kernelSizes: [[Int]]
  /// The wished patch size, padded to what the strides divide.
  let patchSize: [Int]
  /// What each axis of a patch must be divisible by.
  let divisors: [Int]

  var stageCount: Int { strides.count }

  /// - Parameters:
  ///   - spacing: millimetres per axis.
  ///   - patchSize: voxels per axis; halves are allowed.
  ///   - minimumEdge: the smallest edge of a feature map.
  init(spacing: [Double], patchSize: [Double], minimumEdge: Int) {
    let axes = spacing.indices
    let minimumEdge = Double(minimumEdge)
    var spacing = spacing
    var size = patchSize
    var poolCounts = axes.map { _ in 0 }
    var kernel = axes.map { _ in 1 }
    var strides = [kernel]
    var kernelSizes: [[Int]] = []
    while true {
      // Axes that are long enough, and within a factor of two of the finest of those.
      let long = axes.filter { size[$0] >= 2 * minimumEdge }
      guard let finest = long.map({ spacing[$0] }).min() else { break }
      let pooled = long.filter { spacing[$0] / finest < 2 }
      if pooled.isEmpty || (pooled.count == 1 && size[pooled[0]] < 3 * minimumEdge) { break }
      // A kernel grows to 3 along an axis when that is within a factor of two of the finest axis, and stays 3.
      let finestOfAll = spacing.min() ?? finest
      for axis in axes where spacing[axis] / finestOfAll < 2 { kernel[axis] = 3 }
      var stride = axes.map { _ in 1 }
      for axis in pooled {
        stride[axis] = 2
        poolCounts[axis] += 1
        spacing[axis] *= 2
        size[axis] = (size[axis] / 2).rounded(.up)
      }
      strides.append(stride)
      kernelSizes.append(kernel)
    }
    kernelSizes.append(axes.map { _ in 3 })
    let divisors = poolCounts.map { 1 << min($0, 40) }
    self.strides = strides
    self.kernelSizes = kernelSizes
    self.divisors = divisors
    self.patchSize = zip(patchSize, divisors).map { size, divisor in
      Int((size / Double(divisor)).rounded(.up)) * divisor
    }
  }
}
