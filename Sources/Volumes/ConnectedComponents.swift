import Foundation
import TensorCore

/// Which voxels count as neighbours.
public enum Connectivity: Sendable, Hashable {
  /// Those that share a face (6 in three dimensions).
  case faces
  /// Those that share a face, an edge or a corner (26 in three dimensions).
  case full
}

/// The connected components of a mask.
public struct ConnectedComponents: Sendable {
  /// For every voxel 0 outside of the mask, otherwise its component, counted from 1 in the order in which a scan of
  /// the volume meets them.
  public let labels: VoxelGrid<Int32>
  /// Voxels per component; `sizes[0]` belongs to component 1.
  public let sizes: [Int]

  /// - Parameter mask: one channel.
  public init(_ mask: VoxelGrid<Bool>, connectivity: Connectivity = .full) {
    check(mask.channelCount == 1, "ConnectedComponents: a mask has one channel, this one has shape \(mask.shape)")
    var runs = RunForest(mask, of: true, connectivity, joinsBorder: false)
    var numbers: [Int32] = Array(repeating: 0, count: runs.count)
    var sizes: [Int] = []
    var labels = VoxelGrid<Int32>(shape: mask.shape, repeating: 0)
    let width = mask.shape[3]
    runs.forEachRun { run, row, columns, root in
      if numbers[root] == 0 {
        sizes.append(0)
        numbers[root] = Int32(sizes.count)
      }
      let number = numbers[root]
      sizes[Int(number) - 1] += columns.count
      for x in columns { labels.elements[row * width + x] = number }
    }
    self.labels = labels
    self.sizes = sizes
  }

  /// The voxels of all components that have the most voxels.
  public var largest: VoxelGrid<Bool> {
    let most = sizes.max() ?? 0
    return VoxelGrid(shape: labels.shape, elements: labels.elements.map { $0 > 0 && sizes[Int($0) - 1] == most })
  }
}

/// Fills holes: voxels outside of the mask that no path over faces connects to the volume's border.
///
/// scipy: `ndimage.binary_fill_holes` with its default structure.
public func fillHoles(_ mask: inout VoxelGrid<Bool>) {
  check(mask.channelCount == 1, "fillHoles: a mask has one channel, this one has shape \(mask.shape)")
  var runs = RunForest(mask, of: false, .faces, joinsBorder: true)
  let width = mask.shape[3]
  let border = runs.borderRoot
  runs.forEachRun { _, row, columns, root in
    if root != border {
      for x in columns { mask.elements[row * width + x] = true }
    }
  }
}

/// The runs of one value along X, joined to components.
///
/// Runs instead of voxels keep the forest small: He, Ren, Gao, Zhao, Yao, Chao: "The connected-component labeling
/// problem: a review of state-of-the-art algorithms", 2017.
private struct RunForest {
  /// The first run of every row, and one more entry.
  private var rowStarts: [Int] = [0]
  private var starts: [Int32] = []
  private var ends: [Int32] = []
  private var parents: [Int32] = []

  /// Runs, and a last entry for the border.
  var count: Int { parents.count }

  init(_ mask: VoxelGrid<Bool>, of value: Bool, _ connectivity: Connectivity, joinsBorder: Bool) {
    let (depth, height, width) = (mask.shape[1], mask.shape[2], mask.shape[3])
    mask.elements.withUnsafeBytes { bytes in
      for row in 0..<depth * height {
        findRuns(UnsafeRawBufferPointer(rebasing: bytes[row * width..<(row + 1) * width]), of: value ? 1 : 0)
        rowStarts.append(starts.count)
      }
    }
    parents = (0...Int32(starts.count)).map { $0 }
    let border = starts.count
    let reach: Int32 = connectivity == .full ? 1 : 0
    for z in 0..<depth {
      for y in 0..<height {
        let row = z * height + y
        if rowStarts[row] == rowStarts[row + 1] { continue }
        if y > 0 { join(row, row - 1, reach) }
        if z > 0 {
          join(row, row - height, reach)
          if connectivity == .full {
            if y > 0 { join(row, row - height - 1, reach) }
            if y + 1 < height { join(row, row - height + 1, reach) }
          }
        }
        guard joinsBorder else { continue }
        let isBorderRow = z == 0 || y == 0 || z + 1 == depth || y + 1 == height
        for run in rowStarts[row]..<rowStarts[row + 1]
        where isBorderRow || starts[run] == 0 || Int(ends[run]) == width {
          union(run, border)
        }
      }
    }
  }

  var borderRoot: Int { mutating get { find(parents.count - 1) } }

  mutating func forEachRun(_ body: (_ run: Int, _ row: Int, _ columns: Range<Int>, _ root: Int) -> Void) {
    for row in 0..<rowStarts.count - 1 {
      for run in rowStarts[row]..<rowStarts[row + 1] {
        body(run, row, Int(starts[run])..<Int(ends[run]), find(run))
      }
    }
  }

  private mutating func findRuns(_ row: UnsafeRawBufferPointer, of value: UInt8) {
    guard let base = row.baseAddress else { return }
    var x = 0
    while x < row.count, let start = memchr(base + x, Int32(value), row.count - x) {
      let first = UnsafeRawPointer(start) - base
      let end = memchr(start, Int32(1 - value), row.count - first).map { UnsafeRawPointer($0) - base } ?? row.count
      starts.append(Int32(first))
      ends.append(Int32(end))
      x = end
    }
  }

  /// Joins the runs of two rows that overlap, or come within `reach` of it.
  private mutating func join(_ row: Int, _ other: Int, _ reach: Int32) {
    var (a, b) = (rowStarts[row], rowStarts[other])
    let (lastA, lastB) = (rowStarts[row + 1], rowStarts[other + 1])
    while a < lastA && b < lastB {
      if starts[a] < ends[b] + reach && starts[b] < ends[a] + reach { union(a, b) }
      if ends[a] < ends[b] { a += 1 } else { b += 1 }
    }
  }

  private mutating func find(_ run: Int) -> Int {
    var run = run
    while parents[run] != Int32(run) {
      parents[run] = parents[Int(parents[run])]
      run = Int(parents[run])
    }
    return run
  }

  private mutating func union(_ a: Int, _ b: Int) {
    let (a, b) = (find(a), find(b))
    if a < b { parents[b] = Int32(a) } else { parents[a] = Int32(b) }
  }
}
