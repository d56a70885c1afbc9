import Datasets

/// The resampling functions a planner names in its plans.
package enum ResamplingScheme: Sendable, Hashable {
  /// `resample_data_or_seg_to_shape`: order 3 for data, 1 for segmentations and probabilities.
  case spline
  /// `resample_torch_fornnunet` in three dimensions.
  case torch
  /// `resample_torch_fornnunet`, slices apart where the spacing is anisotropic.
  case torchSeparateZ
  /// `no_resampling_hack`.
  case none

  var functionName: String {
    switch self {
    case .spline: "resample_data_or_seg_to_shape"
    case .torch, .torchSeparateZ: "resample_torch_fornnunet"
    case .none: "no_resampling_hack"
    }
  }

  /// - Parameter splineOrder: used by `.spline` alone.
  func keywordArguments(isSegmentation: Bool, splineOrder: Int, anisotropyThreshold: Int) -> JSONValue {
    switch self {
    case .spline:
      ["is_seg": .bool(isSegmentation), "order": .integer(splineOrder), "order_z": 0, "force_separate_z": nil]
    case .torch:
      ["is_seg": .bool(isSegmentation), "force_separate_z": false, "memefficient_seg_resampling": false]
    case .torchSeparateZ:
      [
        "is_seg": .bool(isSegmentation), "force_separate_z": nil, "memefficient_seg_resampling": false,
        "separate_z_anisotropy_threshold": .integer(anisotropyThreshold),
      ]
    case .none: [:]
    }
  }
}
