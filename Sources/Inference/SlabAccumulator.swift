import TensorCore

/// Adds up weighted tiles in the slices that later tiles may still touch, and gives finished slices away.
///
/// Memory: at most `tile depth + largest step` slices of `Y * X * (C + 1)` floats, whatever the depth of the image.
struct SlabAccumulator {
  let window: SlidingWindow
  let channels: Int
  let precision: LogitsPrecision
  private let weights: [Float]
  private let pool: WorkerPool
  /// Sums for the padded slices from `firstSlice` on, each `[Y, X, C]`.
  private var sums: [Tensor] = []
  /// The summed weights of those slices, each `[Y, X]`.
  private var totals: [Tensor] = []
  private var firstSlice = 0

  init(
    window: SlidingWindow, channels: Int, importance: GaussianImportance, precision: LogitsPrecision, pool: WorkerPool
  ) {
    self.window = window
    self.channels = channels
    self.precision = precision
    self.weights = importance.weights
    self.pool = pool
  }

  /// Makes room for tiles that begin at slice `z`.
  mutating func open(tilesStartingAt z: Int) {
    let (height, width) = (window.paddedShape[1], window.paddedShape[2])
    while firstSlice + sums.count < z + window.tileShape[0] {
      sums.append(Tensor(zeros: [height, width, channels]))
      totals.append(Tensor(zeros: [height, width]))
    }
  }

  /// Adds the weights of one tile; once per tile, whatever the number of mirrors and folds.
  mutating func addWeights(of tile: SlidingWindow.Tile) {
    let (depth, height, width) = (window.tileShape[0], window.tileShape[1], window.tileShape[2])
    let paddedWidth = window.paddedShape[2]
    let targets = totals.map(MutableTensorView.init)
    let (first, rounds) = (firstSlice, precision == .reference)
    weights.withUnsafeBufferPointer { weights in
      for z in 0..<depth {
        let total = targets[tile.z + z - first].floats
        for y in 0..<height {
          let line = total + (tile.y + y) * paddedWidth + tile.x
          let row = (z * height + y) * width
          if rounds {
            for x in 0..<width { line[x] = roundedToHalf(line[x] + weights[row + x]) }
          } else {
            for x in 0..<width { line[x] += weights[row + x] }
          }
        }
      }
    }
    withExtendedLifetime(totals) {}
  }

  /// Adds `logits * weight` of some slices of one tile.
  /// - Parameters:
  ///   - logits: `[Z, Y, X, C]` as the network saw the tile under `flip`.
  ///   - slices: which of the tile's slices these are, as the network saw them.
  mutating func add(
    _ logits: UnsafePointer<Float>, slices: Range<Int>, of tile: SlidingWindow.Tile, flip: Flip
  ) {
    let (depth, height, width) = (window.tileShape[0], window.tileShape[1], window.tileShape[2])
    let (paddedWidth, channels) = (window.paddedShape[2], channels)
    let targets = sums.map(MutableTensorView.init)
    let (first, rounds) = (firstSlice, precision == .reference)
    weights.withUnsafeBufferPointer { weights in
      pool.run(count: slices.count * height, grain: max(1, 16_384 / (width * channels))) { rows in
        for row in rows {
          let (sourceZ, sourceY) = (slices.lowerBound + row / height, row % height)
          let z = flip.z ? depth - 1 - sourceZ : sourceZ
          let y = flip.y ? height - 1 - sourceY : sourceY
          let line = logits + row * width * channels
          let target = targets[tile.z + z - first].floats + ((tile.y + y) * paddedWidth + tile.x) * channels
          for x in 0..<width {
            let weight = weights[(z * height + y) * width + x]
            let from = line + (flip.x ? width - 1 - x : x) * channels
            let to = target + x * channels
            if rounds {
              for c in 0..<channels { to[c] = roundedToHalf(to[c] + from[c] * weight) }
            } else {
              for c in 0..<channels { to[c] += from[c] * weight }
            }
          }
        }
      }
    }
    withExtendedLifetime(sums) {}
  }

  /// Takes out the slices before `end` (in the padded image) divided by their weights times `contributions`.
  /// - Returns: those slices that lie in the image; `nil` if none does.
  /// - Throws: ``InferenceError/nonFiniteLogits`` if a value is infinite or not a number.
  mutating func finish(before end: Int, contributions: Int) throws -> LogitsSlab? {
    let count = min(end - firstSlice, sums.count)
    guard count > 0 else { return nil }
    let finished = Array(sums[..<count])
    let finishedTotals = Array(totals[..<count])
    sums.removeFirst(count)
    totals.removeFirst(count)
    let padding = window.paddingBefore
    let (height, width) = (window.imageShape[1], window.imageShape[2])
    let paddedWidth = window.paddedShape[2]
    let inImage =
      max(
        firstSlice, padding[0])..<max(
        max(firstSlice, padding[0]), min(firstSlice + count, padding[0] + window.imageShape[0]))
    let views = finished.map(MutableTensorView.init)
    let totalViews = finishedTotals.map(TensorView.init)
    let (first, rounds, channels) = (firstSlice, precision == .reference, channels)
    firstSlice += count
    guard !inImage.isEmpty else { return nil }
    // One flag a row, so that threads do not share any.
    var isFinite = [Bool](repeating: true, count: inImage.count * height)
    isFinite.withUnsafeMutableBufferPointer { isFinite in
      guard let flags = isFinite.baseAddress else { return }
      pool.run(count: inImage.count * height, grain: max(1, 16_384 / (width * channels))) { rows in
        for row in rows {
          let slice = inImage.lowerBound + row / height - first
          let start = (row % height + padding[1]) * paddedWidth + padding[2]
          let line = views[slice].floats + start * channels
          let total = totalViews[slice].floats + start
          // A sum of finite values times 0 is 0; infinite ones and NaN give NaN.
          var probe: Float = 0
          for x in 0..<width {
            let divisor = total[x] * Float(contributions)
            for c in 0..<channels {
              let quotient = line[x * channels + c] / divisor
              let value = rounds ? roundedToHalf(quotient) : quotient
              line[x * channels + c] = value
              probe += value * 0
            }
          }
          flags[row] = probe == 0
        }
      }
    }
    withExtendedLifetime((finished, finishedTotals)) {}
    guard isFinite.allSatisfy({ $0 }) else { throw InferenceError.nonFiniteLogits }
    let skipped = inImage.lowerBound - first
    return LogitsSlab(
      depthRange: inImage.lowerBound - padding[0]..<inImage.upperBound - padding[0], height: height, width: width,
      channels: channels, slices: Array(finished[skipped..<skipped + inImage.count]),
      offset: (padding[1], padding[2]), paddedWidth: paddedWidth)
  }
}
