import TensorCore
import Volumes

/// Takes finished logits while the prediction is still running, so that nobody holds them all.
package protocol LogitsConsumer {
  /// Called with slabs of consecutive slices, from the first to the last of the image.
  mutating func consume(_ slab: LogitsSlab) throws
}

/// Some slices of finished logits: means over tiles, mirrors and folds.
package struct LogitsSlab {
  /// Which slices of the image.
  package let depthRange: Range<Int>
  package let height: Int
  package let width: Int
  package let channels: Int
  let slices: [Tensor]
  /// Where the image starts in a padded slice, and how long a padded row is.
  let offset: (y: Int, x: Int)
  let paddedWidth: Int

  /// One row of the image, channels-last: `width * channels` values. Valid as long as the slab.
  /// - Parameters:
  ///   - z: counted from the beginning of the image.
  package func row(_ z: Int, _ y: Int) -> UnsafePointer<Float> {
    TensorView(slices[z - depthRange.lowerBound]).floats
      + ((y + offset.y) * paddedWidth + offset.x) * channels
  }
}

/// Collects all logits in one grid `[C, Z, Y, X]`.
package struct LogitsCollector: LogitsConsumer {
  package private(set) var logits: VoxelGrid<Float>
  private let pool: WorkerPool

  /// - Parameter imageShape: `[Z, Y, X]`.
  package init(channels: Int, imageShape: [Int], pool: WorkerPool) {
    logits = VoxelGrid(shape: [channels] + imageShape, repeating: 0)
    self.pool = pool
  }

  package mutating func consume(_ slab: LogitsSlab) {
    let (depth, channels) = (logits.shape[1], slab.channels)
    let (height, width) = (slab.height, slab.width)
    let first = slab.depthRange.lowerBound
    let pool = pool
    logits.elements.withUnsafeMutableBufferPointer { elements in
      guard let target = elements.baseAddress else { return }
      pool.run(count: slab.depthRange.count * height, grain: max(1, 16_384 / (width * channels))) { rows in
        for row in rows {
          let (z, y) = (first + row / height, row % height)
          let source = slab.row(z, y)
          for c in 0..<channels {
            let line = target + ((c * depth + z) * height + y) * width
            for x in 0..<width { line[x] = source[x * channels + c] }
          }
        }
      }
    }
  }
}

/// Turns logits into labels on the image's grid as they come, and keeps the labels only.
struct LabelingConsumer: LogitsConsumer {
  private(set) var stream: LabelStream
  let pool: WorkerPool

  mutating func consume(_ slab: LogitsSlab) {
    let (height, width, channels) = (slab.height, slab.width, slab.channels)
    for first in stride(from: slab.depthRange.lowerBound, to: slab.depthRange.upperBound, by: LabelStream.slicesAtOnce)
    {
      let count = min(LabelStream.slicesAtOnce, slab.depthRange.upperBound - first)
      stream.append(count: count) { target, channelStride, plane in
        pool.run(count: count * height, grain: max(1, 16_384 / (width * channels))) { rows in
          for row in rows {
            let (k, y) = (row / height, row % height)
            let source = slab.row(first + k, y)
            for c in 0..<channels {
              let line = target + c * channelStride + k * plane + y * width
              for x in 0..<width { line[x] = source[x * channels + c] }
            }
          }
        }
      }
    }
  }
}
