import NeuralNetworks
import TensorCore
import Volumes

/// How far a prediction has come.
public struct TileProgress: Sendable, Hashable {
  /// Finished tiles, each with all its mirrors and folds.
  public let tilesDone: Int
  public let tileCount: Int
  /// Between 0 and 1, counting mirrors and folds too.
  public let fraction: Double
}

/// Predicts the logits of an image of any size with a network that sees patches.
///
/// Tiles overlap and are weighted by a Gaussian; with mirroring, each tile is seen under all flips; with several
/// parameter sets (folds), each set sees every tile. The result is the mean of all that. The image is worked through
/// along its first axis, and slices that no later tile touches go on to a consumer at once, so that memory holds
/// `patch depth + step` slices of logits and not the volume of them:
/// `4 bytes * (patch depth + step) * Y * X * (heads + 1)`; times the number of folds with
/// ``LogitsPrecision/reference``, because nnU-Net rounds every fold by itself.
///
/// nnU-Net: `nnUNetPredictor.predict_sliding_window_return_logits` and `predict_logits_from_preprocessed_data` of
/// `nnunetv2/inference/predict_from_raw_data.py`.
public struct SlidingWindowPredictor: Sendable {
  /// The network with the parameters of one fold: `[N, Z, Y, X, C]` (2-D: `[N, Y, X, C]`) to logits of the same extents.
  public typealias Forward = @Sendable (Tensor) -> Tensor

  /// The sizes of a tile, two or three.
  public let patchSize: [Int]
  /// Channels of the logits.
  public let headCount: Int
  /// The distance of neighbouring tiles as a part of the patch.
  public let stepSize: Double
  public let precision: LogitsPrecision

  /// What the passes run, if it is a compiled network.
  package let compiled: CompiledForward?

  private let passes: [NetworkPass]
  private let flips: [Flip]
  private let importance: GaussianImportance
  private let pool: WorkerPool

  /// - Parameters:
  ///   - forwards: one function per fold; at least one.
  ///   - allowedMirroringAxes: spatial axes, 0 for the network's first; empty turns mirroring off.
  ///   - usesGaussian: whether the middle of a tile counts more than its border.
  public init(
    forwards: [Forward], headCount: Int, patchSize: [Int], allowedMirroringAxes: [Int], stepSize: Double,
    usesGaussian: Bool, precision: LogitsPrecision
  ) {
    self.init(
      passes: forwards.map { NetworkPass(features: $0, head: nil) }, headCount: headCount, patchSize: patchSize,
      allowedMirroringAxes: allowedMirroringAxes, stepSize: stepSize, usesGaussian: usesGaussian,
      precision: precision, compiled: nil)
  }

  init(
    passes: [NetworkPass], headCount: Int, patchSize: [Int], allowedMirroringAxes: [Int], stepSize: Double,
    usesGaussian: Bool, precision: LogitsPrecision, compiled: CompiledForward?
  ) {
    check(!passes.isEmpty, "SlidingWindowPredictor: no parameters")
    check(stepSize > 0 && stepSize <= 1, "SlidingWindowPredictor: the step size \(stepSize) is not in (0, 1]")
    self.passes = passes
    self.compiled = compiled
    self.headCount = headCount
    self.patchSize = patchSize
    self.stepSize = stepSize
    self.precision = precision
    flips = Flip.combinations(of: allowedMirroringAxes, isTwoDimensional: patchSize.count == 2)
    importance =
      usesGaussian
      ? GaussianImportance(tileShape: patchSize, precision: precision) : GaussianImportance(uniform: patchSize)
    pool = .shared
  }

  /// How many parameter sets there are.
  var foldCount: Int { passes.count }

  /// Whether logits are made of features in parts, after the network.
  var hasSeparateHead: Bool { passes[0].head != nil }

  /// All logits at once, `[heads, Z, Y, X]`, in the space of the image.
  /// - Parameters:
  ///   - image: preprocessed, `[C, Z, Y, X]`.
  ///   - progress: called after every network pass.
  /// - Throws: ``InferenceError`` for infinite logits, `CancellationError`.
  public func predictLogits(
    of image: VoxelGrid<Float>, cancellation: Cancellation? = nil, progress: (TileProgress) -> Void = { _ in }
  ) throws -> VoxelGrid<Float> {
    var collector = LogitsCollector(channels: headCount, imageShape: image.spatialShape, pool: pool)
    try predict(image, into: &collector, cancellation: cancellation, progress: progress)
    return collector.logits
  }

  /// Gives the logits slab by slab to a consumer.
  package func predict(
    _ image: VoxelGrid<Float>, into consumer: inout some LogitsConsumer, cancellation: Cancellation?,
    progress: (TileProgress) -> Void
  ) throws {
    let window = SlidingWindow(imageShape: image.spatialShape, patchSize: patchSize, stepSize: stepSize)
    // In float32 all folds add to one sum; nnU-Net rounds each fold's mean before it averages them.
    let sumCount = precision == .reference ? passes.count : 1
    var sums = (0..<sumCount).map { _ in
      SlabAccumulator(
        window: window, channels: headCount, importance: importance, precision: precision, pool: pool)
    }
    let contributions = precision == .reference ? 1 : passes.count * flips.count
    var counter = PassCounter(tileCount: window.tileCount, passesPerTile: flips.count * passes.count)
    for (index, z) in window.steps[0].enumerated() {
      for fold in sums.indices { sums[fold].open(tilesStartingAt: z) }
      let tiles = window.tiles(startingAt: z)
      for tile in tiles {
        for fold in sums.indices { sums[fold].addWeights(of: tile) }
      }
      switch precision {
      case .float32:
        try addTiles(tiles, of: image, window, to: &sums[0], cancellation) { progress(counter.advance(by: $0)) }
      case .reference:
        try addTilesRounded(tiles, of: image, window, to: &sums, cancellation) { progress(counter.advance(by: $0)) }
      }
      let end = index + 1 < window.steps[0].count ? window.steps[0][index + 1] : window.paddedShape[0]
      let slabs = try sums.indices.compactMap { try sums[$0].finish(before: end, contributions: contributions) }
      guard let first = slabs.first else { continue }
      if slabs.count > 1 { first.averageRounded(with: slabs.dropFirst(), pool: pool) }
      try consumer.consume(first)
    }
  }

  /// Adds every mirror of every fold by itself: no tile's logits are held twice.
  private func addTiles(
    _ tiles: [SlidingWindow.Tile], of image: VoxelGrid<Float>, _ window: SlidingWindow,
    to sum: inout SlabAccumulator, _ cancellation: Cancellation?, _ done: (Int) -> Void
  ) throws {
    let views = tiles.flatMap { tile in flips.map { TileView(tile: tile, flip: $0) } }
    for start in stride(from: 0, to: views.count, by: batchSize) {
      let batch = Array(views[start..<min(start + batchSize, views.count)])
      let input = window.cut(batch, from: image, pool: pool)
      for pass in passes {
        try cancellation?.check()
        let features = pass.features(input)
        for (n, view) in batch.enumerated() {
          for slices in headSlices(hasHead: pass.head != nil) {
            let part = Self.slices(slices, ofSample: n, in: features, depth: window.tileShape[0])
            let logits = pass.head?(part) ?? part
            check(
              logits.count == slices.count * window.tileShape[1] * window.tileShape[2] * headCount,
              "SlidingWindowPredictor: the network gave \(logits.shape) for \(slices.count) slices of \(headCount) classes"
            )
            logits.withElements(as: Float.self) { elements in
              guard let base = elements.baseAddress else { return }
              sum.add(base, slices: slices, of: view.tile, flip: view.flip)
            }
          }
        }
        done(batch.count)
      }
    }
  }

  /// Averages a tile's mirrors in float32 before it is added and rounded, as nnU-Net does.
  private func addTilesRounded(
    _ tiles: [SlidingWindow.Tile], of image: VoxelGrid<Float>, _ window: SlidingWindow,
    to sums: inout [SlabAccumulator], _ cancellation: Cancellation?, _ done: (Int) -> Void
  ) throws {
    for tile in tiles {
      var means = [MirrorMean](
        repeating: MirrorMean(tileShape: window.tileShape, channels: headCount), count: passes.count)
      for start in stride(from: 0, to: flips.count, by: batchSize) {
        let batch = flips[start..<min(start + batchSize, flips.count)].map { TileView(tile: tile, flip: $0) }
        let input = window.cut(batch, from: image, pool: pool)
        for (fold, pass) in passes.enumerated() {
          try cancellation?.check()
          let features = pass.features(input)
          let logits = checked(pass.head?(features) ?? features, batch.count)
          logits.withElements(as: Float.self) { elements in
            guard let base = elements.baseAddress else { return }
            for (n, view) in batch.enumerated() {
              means[fold].add(base + n * elements.count / batch.count, flip: view.flip, pool: pool)
            }
          }
          done(batch.count)
        }
      }
      for fold in sums.indices {
        means[fold].divide(by: Float(flips.count))
        means[fold].sum.withElements(as: Float.self) { elements in
          guard let base = elements.baseAddress else { return }
          sums[fold].add(base, slices: 0..<window.tileShape[0], of: tile, flip: Flip())
        }
      }
    }
  }

  /// Small tiles go through the network together, up to a number of voxels that keeps all threads busy.
  static func batchSize(of patchSize: [Int]) -> Int { max(1, min(32, (1 << 17) / patchSize.reduce(1, *))) }

  var batchSize: Int { Self.batchSize(of: patchSize) }

  /// Bytes of logits that are made at a time.
  static var headByteLimit: Int { 64 << 20 }

  /// Bytes of the logits of one tile.
  static func logitsByteCount(of patchSize: [Int], headCount: Int) -> Int { 4 * headCount * patchSize.reduce(1, *) }

  /// The slices of a tile whose logits are made at a time.
  private func headSlices(hasHead: Bool) -> [Range<Int>] {
    let depth = patchSize.count == 2 ? 1 : patchSize[0]
    let sliceBytes = 4 * headCount * patchSize.suffix(2).reduce(1, *)
    let count = hasHead ? max(1, min(depth, Self.headByteLimit / sliceBytes)) : depth
    return stride(from: 0, to: depth, by: count).map { $0..<min($0 + count, depth) }
  }

  private func checked(_ logits: Tensor, _ count: Int) -> Tensor {
    check(
      logits.shape == Shape([count] + patchSize + [headCount]),
      "SlidingWindowPredictor: the network gave \(logits.shape), expected \(Shape([count] + patchSize + [headCount]))")
    return logits
  }
}

/// The network with the parameters of one fold, in two parts so that large tiles take the second in pieces.
struct NetworkPass: Sendable {
  let features: SlidingWindowPredictor.Forward
  /// Features of any voxels to their logits; `nil` where `features` gives logits already.
  let head: SlidingWindowPredictor.Forward?
}

extension SlidingWindowPredictor {
  /// Some slices of one sample, `[1, slices, Y, X, F]` (2-D: `[1, Y, X, F]`).
  static func slices(_ slices: Range<Int>, ofSample sample: Int, in features: Tensor, depth: Int) -> Tensor {
    let extents = features.shape.extents
    guard extents[0] > 1 || slices.count < depth else { return features }
    let count = features.count / extents[0] / depth
    var shape = extents
    shape[0] = 1
    if extents.count == 5 { shape[1] = slices.count }
    return features.withElements(as: Float.self) { elements in
      Tensor(shape: Shape(shape), of: Float.self) { target in
        guard let base = elements.baseAddress, let target = target.baseAddress else { return }
        target.update(from: base + (sample * depth + slices.lowerBound) * count, count: slices.count * count)
      }
    }
  }
}

/// Counts network passes.
private struct PassCounter {
  let tileCount: Int
  let passesPerTile: Int
  private var passes = 0

  init(tileCount: Int, passesPerTile: Int) {
    self.tileCount = tileCount
    self.passesPerTile = passesPerTile
  }

  mutating func advance(by count: Int) -> TileProgress {
    passes += count
    return TileProgress(
      tilesDone: passes / passesPerTile, tileCount: tileCount,
      fraction: Double(passes) / Double(tileCount * passesPerTile))
  }
}

/// The float32 sum of a tile's logits over its mirrors, in the order in which nnU-Net adds them.
private struct MirrorMean {
  private(set) var sum: Tensor
  private let tileShape: [Int]
  private let channels: Int
  private var isEmpty = true

  init(tileShape: [Int], channels: Int) {
    self.tileShape = tileShape
    self.channels = channels
    sum = Tensor(zeros: Shape(tileShape + [channels]))
  }

  mutating func add(_ logits: UnsafePointer<Float>, flip: Flip, pool: WorkerPool) {
    let (depth, height, width) = (tileShape[0], tileShape[1], tileShape[2])
    let (channels, isFirst) = (channels, isEmpty)
    isEmpty = false
    sum.withMutableElements(as: Float.self) { sum in
      guard let target = sum.baseAddress else { return }
      pool.run(count: depth * height, grain: max(1, 16_384 / (width * channels))) { rows in
        for row in rows {
          let (z, y) = (row / height, row % height)
          let source = ((flip.z ? depth - 1 - z : z) * height + (flip.y ? height - 1 - y : y)) * width
          for x in 0..<width {
            let from = logits + (source + (flip.x ? width - 1 - x : x)) * channels
            let to = target + (row * width + x) * channels
            if isFirst {
              for c in 0..<channels { to[c] = from[c] }
            } else {
              for c in 0..<channels { to[c] += from[c] }
            }
          }
        }
      }
    }
  }

  mutating func divide(by count: Float) {
    guard count != 1 else { return }
    sum.withMutableElements(as: Float.self) { sum in
      for index in sum.indices { sum[index] /= count }
    }
  }
}

extension LogitsSlab {
  /// Turns this slab into the mean with others, rounding every sum to float16 as nnU-Net does for folds.
  func averageRounded(with others: ArraySlice<LogitsSlab>, pool: WorkerPool) {
    let count = Float(others.count + 1)
    let rowLength = width * channels
    pool.run(count: depthRange.count * height, grain: max(1, 16_384 / rowLength)) { rows in
      for row in rows {
        let (z, y) = (depthRange.lowerBound + row / height, row % height)
        // The slices belong to this slab alone.
        let target = UnsafeMutablePointer(mutating: self.row(z, y))
        for other in others {
          let source = other.row(z, y)
          for index in 0..<rowLength { target[index] = roundedToHalf(target[index] + source[index]) }
        }
        for index in 0..<rowLength { target[index] = roundedToHalf(target[index] / count) }
      }
    }
  }
}
