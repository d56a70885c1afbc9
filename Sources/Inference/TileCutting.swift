import TensorCore
import Volumes

/// A tile with the flip under which the network sees it.
struct TileView: Sendable {
  let tile: SlidingWindow.Tile
  let flip: Flip
}

extension SlidingWindow {
  /// Cuts tiles out of an image `[C, Z, Y, X]` and turns them to channels-last: `[N, Z, Y, X, C]`, for a
  /// two-dimensional network `[N, Y, X, C]`. What lies outside of the image is 0.
  func cut(_ views: [TileView], from image: VoxelGrid<Float>, pool: WorkerPool) -> Tensor {
    let (depth, height, width) = (tileShape[0], tileShape[1], tileShape[2])
    let channels = image.channelCount
    let (imageDepth, imageHeight, imageWidth) = (image.shape[1], image.shape[2], image.shape[3])
    let rowLength = width * channels
    let shape =
      isTwoDimensional ? [views.count, height, width, channels] : [views.count, depth, height, width, channels]
    return Tensor(shape: Shape(shape), of: Float.self) { buffer in
      guard let target = buffer.baseAddress, !buffer.isEmpty else { return }
      image.elements.withUnsafeBufferPointer { source in
        guard let source = source.baseAddress else { return }
        pool.run(count: views.count * depth * height, grain: max(1, 16_384 / rowLength)) { rows in
          for row in rows {
            let (n, z, y) = (row / (depth * height), row / height % depth, row % height)
            let view = views[n]
            let destination = target + row * rowLength
            let sourceZ = view.tile.z + (view.flip.z ? depth - 1 - z : z) - paddingBefore[0]
            let sourceY = view.tile.y + (view.flip.y ? height - 1 - y : y) - paddingBefore[1]
            let firstX = view.tile.x - paddingBefore[2]
            let (lower, upper) = (max(0, -firstX), min(width, imageWidth - firstX))
            guard (0..<imageDepth).contains(sourceZ), (0..<imageHeight).contains(sourceY), lower < upper else {
              destination.update(repeating: 0, count: rowLength)
              continue
            }
            if upper - lower < width { destination.update(repeating: 0, count: rowLength) }
            for c in 0..<channels {
              let line = source + ((c * imageDepth + sourceZ) * imageHeight + sourceY) * imageWidth + firstX
              if view.flip.x {
                for x in lower..<upper { destination[(width - 1 - x) * channels + c] = line[x] }
              } else {
                for x in lower..<upper { destination[x * channels + c] = line[x] }
              }
            }
          }
        }
      }
    }
  }
}
