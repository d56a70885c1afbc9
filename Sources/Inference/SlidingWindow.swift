import TensorCore

/// Where the tiles of a sliding-window prediction lie.
///
/// Positions are in the padded image: smaller images are padded with zeros on both sides to the tile's size (the odd
/// voxel behind). Two-dimensional tiles cover one slice of the first axis and become three-dimensional ones of depth 1.
///
/// nnU-Net: `nnunetv2/inference/predict_from_raw_data.py`, `sliding_window_prediction.py`, and acvl_utils'
/// `pad_nd_image`.
public struct SlidingWindow: Sendable, Hashable {
  /// The lowest corner of a tile, per axis `[Z, Y, X]`.
  public struct Tile: Sendable, Hashable {
    public let z: Int
    public let y: Int
    public let x: Int
  }

  /// The sizes of the image, `[Z, Y, X]`.
  public let imageShape: [Int]
  /// The sizes of the image after padding.
  public let paddedShape: [Int]
  /// How many voxels were added before the image, per axis.
  public let paddingBefore: [Int]
  /// The sizes of a tile, `[Z, Y, X]`; Z is 1 for a two-dimensional network.
  public let tileShape: [Int]
  /// Whether the network sees slices.
  public let isTwoDimensional: Bool
  /// First indices of tiles, per axis, ascending.
  public let steps: [[Int]]

  /// - Parameters:
  ///   - imageShape: `[Z, Y, X]`.
  ///   - patchSize: the network's patch, two or three sizes.
  ///   - stepSize: the distance of neighbouring tiles as a part of the patch, in (0, 1].
  public init(imageShape: [Int], patchSize: [Int], stepSize: Double) {
    check(imageShape.count == 3, "SlidingWindow: the image has \(imageShape.count) axes, expected 3")
    check((2...3).contains(patchSize.count), "SlidingWindow: the patch has \(patchSize.count) axes, expected 2 or 3")
    self.imageShape = imageShape
    isTwoDimensional = patchSize.count == 2
    tileShape = isTwoDimensional ? [1] + patchSize : patchSize
    let missing = zip(tileShape, imageShape).map { max(0, $0 - $1) }
    paddingBefore = missing.map { $0 / 2 }
    paddedShape = zip(imageShape, missing).map { $0 + $1 }
    let inPlane = Self.steps(
      imageSize: Array(paddedShape.suffix(patchSize.count)), tileSize: patchSize, stepSize: stepSize)
    steps = isTwoDimensional ? [Array(0..<imageShape[0])] + inPlane : inPlane
  }

  /// First indices of tiles per axis.
  ///
  /// nnU-Net: `compute_steps_for_sliding_window`.
  /// - Parameter imageSize: nowhere less than `tileSize`.
  public static func steps(imageSize: [Int], tileSize: [Int], stepSize: Double) -> [[Int]] {
    check(
      zip(imageSize, tileSize).allSatisfy { $0 >= $1 },
      "SlidingWindow.steps: the image \(imageSize) is smaller than the tile \(tileSize)")
    check(stepSize > 0 && stepSize <= 1, "SlidingWindow.steps: the step size \(stepSize) is not in (0, 1]")
    return zip(imageSize, tileSize).map { image, tile in
      let room = image - tile
      let count = Int((Double(room) / (Double(tile) * stepSize)).rounded(.up)) + 1
      guard count > 1 else { return [0] }
      let distance = Double(room) / Double(count - 1)
      return (0..<count).map { Int((distance * Double($0)).rounded(.toNearestOrEven)) }
    }
  }

  /// How many tiles there are.
  public var tileCount: Int { steps.reduce(1) { $0 * $1.count } }

  /// The tiles that begin at one step of the first axis, in visiting order.
  public func tiles(startingAt z: Int) -> [Tile] {
    steps[1].flatMap { y in steps[2].map { x in Tile(z: z, y: y, x: x) } }
  }

  /// All tiles in visiting order: the last axis runs fastest.
  public var tiles: [Tile] { steps[0].flatMap { tiles(startingAt: $0) } }
}
