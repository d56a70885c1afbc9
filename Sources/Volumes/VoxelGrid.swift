import TensorCore

/// A dense array of voxels in row-major order `[C, Z, Y, X]`: X varies fastest, and every channel is one block.
///
/// Segmentations have one channel. After nnU-Net's `transpose_forward` the spatial axes may mean something else, but
/// there are always three of them; a two-dimensional image has `Z == 1`.
public struct VoxelGrid<Element: Sendable>: Sendable {
  /// Channels, then the three spatial sizes.
  public var shape: [Int]
  /// `shape.reduce(1, *)` values.
  public var elements: [Element]

  /// - Parameter shape: four sizes, `[C, Z, Y, X]`, whose product is `elements.count`.
  public init(shape: [Int], elements: [Element]) {
    check(
      shape.count == 4 && shape.reduce(1, *) == elements.count,
      "VoxelGrid: shape \(shape) does not hold \(elements.count) elements")
    self.shape = shape
    self.elements = elements
  }

  /// A grid with one value everywhere.
  public init(shape: [Int], repeating value: Element) {
    self.init(shape: shape, elements: Array(repeating: value, count: shape.reduce(1, *)))
  }

  /// A grid whose elements `initialize` writes, all of them, into uninitialised memory.
  package init(shape: [Int], initialize: (UnsafeMutableBufferPointer<Element>) throws -> Void) rethrows {
    let count = shape.reduce(1, *)
    let elements = try Array<Element>(unsafeUninitializedCapacity: count) { buffer, initialized in
      // The buffer may be larger than asked for.
      try initialize(UnsafeMutableBufferPointer(rebasing: buffer[0..<count]))
      initialized = count
    }
    self.init(shape: shape, elements: elements)
  }

  public var channelCount: Int { shape[0] }
  /// The three sizes after the channels.
  public var spatialShape: [Int] { Array(shape[1...]) }
  /// Voxels in one channel.
  public var voxelCount: Int { shape[1] * shape[2] * shape[3] }

  @inlinable
  public func offset(_ c: Int, _ z: Int, _ y: Int, _ x: Int) -> Int {
    ((c * shape[1] + z) * shape[2] + y) * shape[3] + x
  }

  @inlinable
  public subscript(_ c: Int, _ z: Int, _ y: Int, _ x: Int) -> Element {
    get { elements[offset(c, z, y, x)] }
    set { elements[offset(c, z, y, x)] = newValue }
  }
}

extension VoxelGrid: Equatable where Element: Equatable {}
