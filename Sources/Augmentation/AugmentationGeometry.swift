import TensorCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// What the shape of the patch decides about the augmentation.
///
/// nnU-Net: `nnUNetTrainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size`.
public struct AugmentationGeometry: Hashable, Sendable {
  /// As the plans give it, two or three sizes.
  public var patchSize: [Int]
  /// Radians, about every axis (or in the plane).
  public var rotation: ClosedRange<Double>
  /// Whether a three-dimensional patch is rotated and scaled slice by slice, because its slices are thick.
  public var usesDummy2D: Bool
  /// What is read from the case so that rotated and scaled patches have few voxels from outside of it.
  public var initialPatchSize: [Int]
  /// Axes of `patchSize`.
  public var mirrorAxes: [Int]

  /// - Parameter patchSize: as in the plans: two or three sizes, the slice axis first.
  public init(patchSize: [Int]) {
    check(
      (2...3).contains(patchSize.count) && patchSize.allSatisfy { $0 > 0 },
      "AugmentationGeometry: patch size \(patchSize) is not two or three positive numbers")
    self.patchSize = patchSize
    let largest = Double(patchSize.max() ?? 1)
    let degrees: Double
    if patchSize.count == 2 {
      usesDummy2D = false
      degrees = largest / Double(patchSize.min() ?? 1) > 1.5 ? 15 : 180
    } else {
      usesDummy2D = largest / Double(patchSize[0]) > Self.anisotropyThreshold
      degrees = usesDummy2D ? 180 : 30
    }
    let limit = degrees / 360 * 2 * .pi
    rotation = -limit...limit
    mirrorAxes = Array(patchSize.indices)
    // A narrower range than the one that is drawn from; nnU-Net keeps it so.
    initialPatchSize = Self.initialPatchSize(for: patchSize, rotation: limit, smallestScale: 0.85)
    if usesDummy2D { initialPatchSize[0] = patchSize[0] }
  }

  /// nnU-Net: `ANISO_THRESHOLD`.
  static let anisotropyThreshold = 3.0

  /// The size that holds the patch rotated by `rotation` radians about any one axis and enlarged by 1 / `smallestScale`.
  ///
  /// nnU-Net: `get_patch_size` in `compute_initial_patch_size.py`.
  public static func initialPatchSize(for patchSize: [Int], rotation: Double, smallestScale: Double) -> [Int] {
    let angle = min(Double.pi / 2, abs(rotation))
    let (s, c) = (sin(angle), cos(angle))
    let size = patchSize.map(Double.init)
    var result = size
    /// A row vector times a rotation in the plane of two axes.
    func include(_ first: Int, _ second: Int) {
      result[first] = max(result[first], abs(size[first] * c + size[second] * s))
      result[second] = max(result[second], abs(size[second] * c - size[first] * s))
    }
    if size.count == 3 {
      include(1, 2)
      include(2, 0)
      include(0, 1)
    } else {
      include(0, 1)
    }
    return result.map { Int($0 / smallestScale) }
  }

  /// The resolution of every network output but the lowest, relative to the patch.
  ///
  /// nnU-Net: `nnUNetTrainer._get_deep_supervision_scales`.
  /// - Parameter strides: of every encoder stage, as in the plans.
  public static func deepSupervisionScales(strides: [[Int]]) -> [[Double]] {
    var product = [Int](repeating: 1, count: strides.first?.count ?? 0)
    let scales = strides.map { stride -> [Double] in
      product = zip(product, stride).map { $0 * $1 }
      return product.map { 1 / Double($0) }
    }
    return Array(scales.dropLast())
  }
}
