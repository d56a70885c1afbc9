import CCairo
import Foundation

/// A slice in grey with coloured labels added, one pixel a voxel, in nnU-Net's colours.
///
/// nnU-Net: `generate_overlay` of `nnunetv2/utilities/overlay_plots.py`, pixel by pixel.
public struct LabelOverlay: Sendable {
  public let height: Int
  public let width: Int
  /// Row-major `[Y, X, 3]`: red, green and blue from 0 to 255.
  public let pixels: [UInt8]

  /// Red, green and blue of the smallest label, the next, and so on; they repeat.
  private static let colors: [UInt32] = [
    0x000000, 0x4363d8, 0xf58231, 0x3cb44b, 0xe6194B, 0x911eb4, 0xffe119, 0xbfef45, 0x42d4f4, 0xf032e6, 0x000075,
    0x9A6324, 0x808000, 0x800000, 0x469990,
  ]

  /// - Parameters:
  ///   - intensities: row-major `[Y, X]`, as many as `labels`.
  ///   - strength: how much of the colours is added.
  public init(height: Int, width: Int, intensities: [Float], labels: [Int16], strength: Double) {
    self.height = height
    self.width = width
    let least = intensities.min() ?? 0
    let grey = Self.stretched(intensities.map { $0 - least })
    let order = Set(labels).sorted()
    let colors = Dictionary(
      uniqueKeysWithValues: order.enumerated().map { ($1, Self.colors[$0 % Self.colors.count]) })
    var values: [Float] = []
    values.reserveCapacity(3 * grey.count)
    for (value, label) in zip(grey, labels) {
      let color = colors[label] ?? 0
      for shift in [16, 8, 0] as [UInt32] {
        values.append(Float(Double(value) + strength * Double(color >> shift & 0xFF)))
      }
    }
    pixels = Self.stretched(values).map { UInt8(max(0, min(255, $0))) }
  }

  /// Scaled so that the largest value is 255.
  private static func stretched(_ values: [Float]) -> [Float] {
    guard let most = values.max(), most > 0 else { return values.map { _ in 0 } }
    return values.map { $0 / most * 255 }
  }

  /// Writes a PNG file in one piece.
  /// - Throws: ``PlottingError``.
  public func write(to file: URL) throws {
    let canvas = try Canvas(width: width, height: height)
    canvas.fill { x, y in
      let start = 3 * (y * width + x)
      return UInt32(pixels[start]) << 16 | UInt32(pixels[start + 1]) << 8 | UInt32(pixels[start + 2])
    }
    try canvas.write(to: file)
  }
}

/// Which slice shows most of the labels.
///
/// nnU-Net: `select_slice_to_plot2`: the largest mean, over the classes, of the share of a class's voxels in the slice.
/// - Parameters:
///   - labels: `[Z, Y, X]`.
///   - area: voxels of a slice.
/// - Returns: the first of equal slices; 0 without foreground.
public func sliceWithMostForeground(_ labels: [Int16], area: Int) -> Int {
  guard area > 0 else { return 0 }
  var counts: [Int16: [Int]] = [:]
  for (index, label) in labels.enumerated() where label > 0 {
    counts[label, default: Array(repeating: 0, count: labels.count / area)][index / area] += 1
  }
  var best = (slice: 0, share: 0.0)
  let classes = counts.keys.sorted().compactMap { counts[$0] }
  let totals = classes.map { Double($0.reduce(0, +)) }
  for slice in 0..<labels.count / area {
    let shares = zip(classes, totals).map { Double($0[slice]) / $1 }
    let mean = shares.reduce(0, +) / Double(max(1, shares.count))
    if mean > best.share { best = (slice, mean) }
  }
  return best.slice
}
