import TensorCore
import Volumes

/// Order-3 resampling of a CT-sized volume, 400 x 512 x 512 voxels of 1.0 x 0.7 x 0.7 mm to 0.8 mm in all directions.
let preprocessingWorkloads: [Workload] = [
  Workload(name: "preprocess") {
    let shape = [400, 512, 512]
    let spacing = [1.0, 0.7, 0.7]
    let newSpacing = [0.8, 0.8, 0.8]
    let newShape = Resampling.newShape(of: shape, spacing: spacing, newSpacing: newSpacing)
    let volume = VoxelGrid<Float>(
      shape: [1] + shape,
      elements: (0..<shape.reduce(1, *)).map { Float(($0 &* 2_654_435_761) >> 20 & 4095) - 1024 })
    let resampling = Resampling(.spline(order: 3, orderZ: 0), separatesZ: false)
    return PreparedWorkload(gflop: 0) {
      let result = resampling.resample(volume, to: newShape, currentSpacing: spacing, newSpacing: newSpacing)
      // The result is clipped to the range of the input.
      guard result.spatialShape == newShape, result.elements.allSatisfy({ $0 >= -1024 && $0 <= 3071 }) else {
        throw WrongResult(description: "preprocess: a volume of shape \(result.shape), or values out of range")
      }
    }
  }
]
