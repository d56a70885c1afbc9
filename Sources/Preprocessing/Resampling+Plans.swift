import Datasets
import Volumes

extension Resampling {
  private static let spline = "resample_data_or_seg_to_shape"
  private static let torch = "resample_torch_fornnunet"
  private static let none = "no_resampling_hack"

  /// The resampling that a plans file names; arguments that are missing have nnU-Net's defaults.
  public init(_ function: ResamplingFunction) throws {
    let name = function.name
    let arguments = function.keywordArguments
    func bad(_ argument: String, _ expected: String) -> PreprocessingError {
      .badResamplingArgument(
        function: name, argument: argument, found: arguments[argument]?.text(indent: nil) ?? "missing",
        expected: expected)
    }
    func order(_ argument: String, default value: Int) throws -> Int {
      guard let found = arguments[argument] else { return value }
      guard let order = found.int, [0, 1, 3].contains(order) else { throw bad(argument, "0, 1 or 3") }
      return order
    }
    func flag(_ argument: String, default value: Bool?) throws -> Bool? {
      guard let found = arguments[argument] else { return value }
      if found.isNull { return nil }
      guard let flag = found.bool else { throw bad(argument, "true, false or null") }
      return flag
    }
    func mode(_ argument: String, default value: TorchInterpolation) throws -> TorchInterpolation {
      guard let found = arguments[argument] else { return value }
      guard let mode = found.string.flatMap(TorchInterpolation.init(rawValue:)) else {
        throw bad(argument, "linear, nearest, nearest-exact or area")
      }
      return mode
    }
    var threshold = 3.0
    if let found = arguments["separate_z_anisotropy_threshold"] {
      guard let number = found.double else { throw bad("separate_z_anisotropy_threshold", "a number") }
      threshold = number
    }
    switch name {
    case Self.spline:
      self.init(
        .spline(order: try order("order", default: 3), orderZ: try order("order_z", default: 0)),
        separatesZ: try flag("force_separate_z", default: false), anisotropyThreshold: threshold)
    case Self.torch:
      self.init(
        .torch(
          mode: try mode("mode", default: .linear),
          anisotropicAxisMode: try mode("aniso_axis_mode", default: .nearestExact),
          memoryEfficientSegmentation: try flag("memefficient_seg_resampling", default: false) ?? false),
        separatesZ: try flag("force_separate_z", default: nil), anisotropyThreshold: threshold)
    case Self.none: self.init(.none)
    default: throw PreprocessingError.unknownResampling(name: name, known: [Self.spline, Self.torch, Self.none])
    }
  }
}
