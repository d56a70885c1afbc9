import Datasets

/// Turns a fingerprint into plans, as nnU-Net's planner classes do.
///
/// nnU-Net's planners differ in numbers, names and resampling functions; here they are values of one type
/// (``named(_:)``). Source: experiment_planning/experiment_planners of nnU-Net 2.8.1.
public struct ExperimentPlanner: Sendable, Hashable {
  /// nnU-Net's class name, written as `experiment_planner_used`.
  public let name: String
  /// The name of the plans file without `.json`, also the prefix of data identifiers.
  public var plansName: String
  /// Gigabytes of memory that training on a GPU may take.
  public var memoryTarget: Double
  public var preprocessorName = "DefaultPreprocessor"
  /// Millimetres in the file's axis order (Z, Y, X), instead of the spacing chosen from the fingerprint.
  public var overwriteTargetSpacing: [Double]?
  /// Keeps the file's axis order even where X or Y is coarser than Z.
  public var suppressTranspose = false

  let encoder: FeatureMapSize.Encoder
  /// Feature map sizes of networks that are known to fit into `referenceMemory`.
  let referenceValue3D: Int
  let referenceValue2D: Int
  /// Gigabytes.
  let referenceMemory: Double
  /// The part of the data set's voxels that one batch may cover.
  let maximumDatasetCovered: Double
  let resampling: ResamplingScheme
  /// Whether `2d` and `3d_fullres` use the cases that the default planner's plans preprocess.
  let sharesDefaultData: Bool

  let anisotropyThreshold = 3
  let baseFeatureCount = 32
  let referenceBatchSize3D = 2
  let referenceBatchSize2D = 12
  let minimumFeatureMapEdge = 4
  let minimumBatchSize = 2
  let maximumFeatures2D = 512
  let maximumFeatures3D = 320
  /// A full-resolution patch that covers less of the median image than this calls for a low-resolution configuration.
  let lowResolutionThreshold = 0.25

  let defaultMemoryTarget: Double

  private init(
    _ name: String, plansName: String, encoder: FeatureMapSize.Encoder, referenceValue3D: Int, referenceValue2D: Int,
    memory: Double, maximumDatasetCovered: Double, resampling: ResamplingScheme, sharesDefaultData: Bool
  ) {
    self.name = name
    self.plansName = plansName
    self.encoder = encoder
    self.referenceValue3D = referenceValue3D
    self.referenceValue2D = referenceValue2D
    memoryTarget = memory
    referenceMemory = memory
    defaultMemoryTarget = memory
    self.maximumDatasetCovered = maximumDatasetCovered
    self.resampling = resampling
    self.sharesDefaultData = sharesDefaultData
  }

  func blocksPerEncoderStage(_ stageCount: Int) -> [Int] {
    let blocks: [Int]
    switch encoder {
    case .plain: blocks = Array(repeating: 2, count: 14)
    case .residual: blocks = [1, 3, 4] + Array(repeating: 6, count: 10)
    }
    return Array(blocks.prefix(stageCount))
  }

  func convolutionsPerDecoderStage(_ stageCount: Int) -> [Int] {
    switch encoder {
    case .plain: Array(repeating: 2, count: min(stageCount - 1, 13))
    case .residual: Array(repeating: 1, count: min(stageCount - 1, 12))
    }
  }

  /// The deepest network the tables of blocks allow.
  var maximumStageCount: Int { encoder == .plain ? 14 : 13 }

  func dataIdentifier(_ configuration: String) -> String {
    let shared = sharesDefaultData && (configuration == "2d" || configuration == "3d_fullres")
    return (shared ? "nnUNetPlans" : plansName) + "_" + configuration
  }
}

extension ExperimentPlanner {
  /// All planners nnU-Net 2.8.1 ships, the default first.
  public static let all: [ExperimentPlanner] = {
    func plain(_ name: String, _ plansName: String, _ resampling: ResamplingScheme) -> ExperimentPlanner {
      ExperimentPlanner(
        name, plansName: plansName, encoder: .plain, referenceValue3D: 560_000_000, referenceValue2D: 85_000_000,
        memory: 8, maximumDatasetCovered: 0.05, resampling: resampling, sharesDefaultData: false)
    }
    func residual(
      _ name: String, _ plansName: String, _ value3D: Int, _ value2D: Int, _ memory: Double, _ covered: Double,
      _ resampling: ResamplingScheme = .spline, sharesDefaultData: Bool = true
    ) -> ExperimentPlanner {
      ExperimentPlanner(
        name, plansName: plansName, encoder: .residual, referenceValue3D: value3D, referenceValue2D: value2D,
        memory: memory, maximumDatasetCovered: covered, resampling: resampling, sharesDefaultData: sharesDefaultData)
    }
    func large(_ suffix: String, _ resampling: ResamplingScheme) -> ExperimentPlanner {
      residual(
        "nnUNetPlannerResEncL" + suffix, "nnUNetResEncUNetLPlans" + suffix, 2_100_000_000, 380_000_000, 24, 1,
        resampling, sharesDefaultData: suffix.isEmpty)
    }
    return [
      plain("ExperimentPlanner", "nnUNetPlans", .spline),
      residual("ResEncUNetPlanner", "nnUNetResEncUNetPlans", 680_000_000, 135_000_000, 8, 0.05),
      residual("nnUNetPlannerResEncM", "nnUNetResEncUNetMPlans", 680_000_000, 135_000_000, 8, 1),
      large("", .spline),
      residual("nnUNetPlannerResEncXL", "nnUNetResEncUNetXLPlans", 3_600_000_000, 560_000_000, 40, 1),
      plain("nnUNetPlanner_torchres", "nnUNetPlans_torchres", .torch),
      large("_torchres", .torch),
      large("_torchres_sepz", .torchSeparateZ),
      large("_noResampling", .none),
    ]
  }()

  /// The planner with nnU-Net's class name.
  public static func named(_ name: String) throws -> ExperimentPlanner {
    guard let planner = all.first(where: { $0.name == name }) else {
      throw DatasetError(
        .notFound, file: nil, problem: "there is no experiment planner '\(name)'",
        advice: "The planners there are: \(all.map(\.name).joined(separator: ", "))")
    }
    return planner
  }
}
