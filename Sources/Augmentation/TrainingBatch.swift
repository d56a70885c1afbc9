import TensorCore
import Volumes

/// Samples side by side, as the network takes them. This is the one place where axes turn: samples are
/// `[C, Z, Y, X]`, tensors are channels-last.
public struct TrainingBatch: Sendable {
  /// `[N, Z, Y, X, C]`, or `[N, Y, X, C]` for two-dimensional configurations.
  public var images: Tensor
  /// Labels as int16 for every network output, full resolution first, in the axes of `images`: one channel of labels,
  /// or one 0/1 channel per region.
  public var targets: [Tensor]

  /// - Parameters:
  ///   - samples: of one shape, with the same number of targets.
  ///   - isPlanar: whether the configuration is two-dimensional, so that tensors have no z axis.
  public init(_ samples: [TrainingSample], isPlanar: Bool) {
    check(!samples.isEmpty, "TrainingBatch: no samples")
    let levels = samples[0].targets.count
    check(
      samples.allSatisfy { $0.targets.count == levels },
      "TrainingBatch: samples have \(samples.map(\.targets.count)) targets")
    let kernels = kernels
    images = Self.tensor(samples.map(\.image), isPlanar: isPlanar) { kernels.interleave($0, $1, $2, $3) }
    targets = (0..<levels).map { level in
      Self.tensor(samples.map { $0.targets[level] }, isPlanar: isPlanar) {
        kernels.interleave_labels($0, $1, $2, $3)
      }
    }
  }

  private static func tensor<Element: TensorElement>(
    _ grids: [VoxelGrid<Element>], isPlanar: Bool,
    interleave: (UnsafeMutablePointer<Element>, [UnsafePointer<Element>?], Int, Int) -> Void
  ) -> Tensor {
    let shape = grids[0].shape
    check(
      grids.allSatisfy { $0.shape == shape }, "TrainingBatch: samples of shapes \(grids.map(\.shape)) do not stack")
    check(!isPlanar || shape[1] == 1, "TrainingBatch: two-dimensional samples of shape \(shape) have several slices")
    let count = grids[0].voxelCount
    let spatial = isPlanar ? Array(shape[2...]) : Array(shape[1...])
    return Tensor(shape: Shape([grids.count] + spatial + [shape[0]]), of: Element.self) { memory in
      guard let target = memory.baseAddress else { return }
      for (index, grid) in grids.enumerated() {
        grid.withChannel(0) { source in
          let channels: [UnsafePointer<Element>?] = (0..<shape[0]).map { source + $0 * count }
          interleave(target + index * shape[0] * count, channels, shape[0], count)
        }
      }
    }
  }
}
