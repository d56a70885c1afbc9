import TensorCore

/// A resampling function of nnU-Net with its arguments.
///
/// nnU-Net: `preprocessing/resampling/{default_resampling,resample_torch,no_resampling}.py`.
public struct Resampling: Sendable, Hashable {
  public enum Method: Sendable, Hashable {
    /// `resample_data_or_seg_to_shape`: skimage's `resize` with splines of `order`; `orderZ` (order 0, 1 or 3) is for
    /// the axis that is resampled separately.
    case spline(order: Int, orderZ: Int)
    /// `resample_torch_fornnunet`: `mode` and `anisotropicAxisMode` count only where an axis is resampled separately,
    /// as in nnU-Net; elsewhere it is linear.
    case torch(
      mode: TorchInterpolation, anisotropicAxisMode: TorchInterpolation, memoryEfficientSegmentation: Bool)
    /// `no_resampling_hack`: everything stays as it is, whatever the shape asked for.
    case none
  }

  public var method: Method
  /// Whether the axis of the coarsest spacing is resampled by itself; `nil` decides by the spacings.
  public var separatesZ: Bool?
  /// How many times coarser than the finest an axis must be to be resampled by itself (strictly more).
  public var anisotropyThreshold: Double

  public init(_ method: Method, separatesZ: Bool? = nil, anisotropyThreshold: Double = 3) {
    if case .spline(let order, let orderZ) = method {
      check(
        [0, 1, 3].contains(order) && [0, 1, 3].contains(orderZ),
        "Resampling: spline orders \(order) and \(orderZ) are not among 0, 1 and 3")
    }
    self.method = method
    self.separatesZ = separatesZ
    self.anisotropyThreshold = anisotropyThreshold
  }

  /// Whether nnU-Net's logits are float16 after this resampling: `resample_torch_fornnunet` returns float32.
  package var roundsLogits: Bool {
    if case .torch = method { false } else { true }
  }

  /// The shape that keeps the extent of an image when its spacing changes. Halves round to even, as in Python.
  ///
  /// nnU-Net: `compute_new_shape`.
  public static func newShape(of shape: [Int], spacing: [Double], newSpacing: [Double]) -> [Int] {
    check(
      shape.count == spacing.count && shape.count == newSpacing.count,
      "Resampling.newShape: \(shape), \(spacing) and \(newSpacing) have different lengths")
    return (0..<shape.count).map {
      Int((spacing[$0] / newSpacing[$0] * Double(shape[$0])).rounded(.toNearestOrEven))
    }
  }

  /// The axis to resample by itself, if any: the one that alone has the coarsest spacing, where it is too coarse.
  ///
  /// nnU-Net: `determine_do_sep_z_and_axis`.
  public func separateAxis(currentSpacing: [Double], newSpacing: [Double]) -> Int? {
    func isAnisotropic(_ spacing: [Double]) -> Bool {
      (spacing.max() ?? 1) / (spacing.min() ?? 1) > anisotropyThreshold
    }
    let deciding: [Double]
    switch separatesZ {
    case true: deciding = currentSpacing
    case false: return nil
    default:
      if isAnisotropic(currentSpacing) {
        deciding = currentSpacing
      } else if isAnisotropic(newSpacing) {
        deciding = newSpacing
      } else {
        return nil
      }
    }
    let largest = deciding.max() ?? 1
    let coarsest = deciding.indices.filter { largest / deciding[$0] == 1 }
    return coarsest.count == 1 ? coarsest[0] : nil
  }
}

/// What is done along the axes of one image, decided from shapes and spacings.
struct ResamplingPlan {
  /// How values are limited after interpolation.
  enum Limits {
    case none
    /// To the range of the whole channel.
    case channel
    /// To the range of the slice, before anything happens along the first axis.
    case slice
  }
  /// The order in which axes are taken so that a separately resampled axis comes first.
  var axisOrder: [Int]
  /// The maps along the axes, in `axisOrder`.
  var axes: [ResamplingAxis]
  var limits: Limits
  /// Whether slices are resampled (and limited) before the first axis is.
  var slicesComeFirst: Bool

  /// - Returns: `nil` where nothing is to be done.
  init?(_ resampling: Resampling, from shape: [Int], to newShape: [Int], currentSpacing: [Double], newSpacing: [Double])
  {
    if shape == newShape { return nil }
    let separate = resampling.separateAxis(currentSpacing: currentSpacing, newSpacing: newSpacing)
    axisOrder = separate.map { axis in [axis] + (0..<3).filter { $0 != axis } } ?? [0, 1, 2]
    let (old, new) = (axisOrder.map { shape[$0] }, axisOrder.map { newShape[$0] })
    switch resampling.method {
    case .none: return nil
    case .spline(let order, let orderZ):
      axes = [
        .spline(order: separate == nil ? order : orderZ, from: old[0], to: new[0]),
        .spline(order: order, from: old[1], to: new[1]),
        .spline(order: order, from: old[2], to: new[2]),
      ]
      limits = order < 2 ? .none : separate == nil ? .channel : .slice
    case .torch(let mode, let anisotropicAxisMode, _):
      let inPlane = separate == nil ? TorchInterpolation.linear : mode
      axes = [
        .torch(separate == nil ? .linear : anisotropicAxisMode, from: old[0], to: new[0]),
        .torch(inPlane, from: old[1], to: new[1]),
        .torch(inPlane, from: old[2], to: new[2]),
      ]
      limits = .none
    }
    // A single tap along the first axis only chooses slices, so it may come before them.
    slicesComeFirst = limits == .slice && !axes[0].isIdentity && axes[0].taps > 1
  }

  var backwardOrder: [Int] { (0..<3).map { axis in axisOrder.firstIndex(of: axis) ?? axis } }
}
