import TensorCore

/// What the plans, the data set and the trainer decide about the augmentation.
public struct AugmentationSettings: Sendable {
  public var geometry: AugmentationGeometry
  /// Axes of the patch along which samples are mirrored; the geometry's by default, none to switch mirroring off.
  public var mirrorAxes: [Int]
  /// Per network output its resolution relative to the patch, or `nil` without deep supervision.
  public var deepSupervisionScales: [[Double]]?
  /// Per channel whether it was normalised inside of the nonzero mask (`use_mask_for_norm`).
  public var useMaskForNorm: [Bool]
  /// Whether the segmentation's second channel is the previous stage's result.
  public var isCascaded: Bool
  public var foregroundLabels: [Int]
  /// The labels of every region in the order of the network's outputs, or `nil` where labels are learned.
  public var regions: [[Int]]?
  public var ignoreLabel: Int?

  public init(
    geometry: AugmentationGeometry, deepSupervisionScales: [[Double]]?, useMaskForNorm: [Bool] = [],
    isCascaded: Bool = false, foregroundLabels: [Int] = [], regions: [[Int]]? = nil, ignoreLabel: Int? = nil
  ) {
    self.geometry = geometry
    mirrorAxes = geometry.mirrorAxes
    self.deepSupervisionScales = deepSupervisionScales
    self.useMaskForNorm = useMaskForNorm
    self.isCascaded = isCascaded
    self.foregroundLabels = foregroundLabels
    self.regions = regions
    self.ignoreLabel = ignoreLabel
  }

  /// Whether the configuration is two-dimensional.
  var isPlanar: Bool { geometry.patchSize.count == 2 }
  /// How far an axis of the patch is from the same axis of a sample, whose first spatial axis is always z.
  private var axisOffset: Int { isPlanar ? 1 : 0 }

  /// The patch as z, y, x.
  var patchSize: [Int] { (isPlanar ? [1] : []) + geometry.patchSize }
  var sampleMirrorAxes: [Int] { mirrorAxes.map { $0 + axisOffset } }
  var sampleScales: [[Double]]? { deepSupervisionScales?.map { (isPlanar ? [1] : []) + $0 } }
}

extension AugmentationPipeline {
  /// nnU-Net's default training augmentation.
  ///
  /// nnU-Net: `nnUNetTrainer.get_training_transforms`.
  public static func training(_ settings: AugmentationSettings) -> AugmentationPipeline {
    let geometry = settings.geometry
    var transforms: [any SampleTransform] = [
      SpatialTransform(
        patchSize: settings.patchSize, isPlanar: settings.isPlanar || geometry.usesDummy2D,
        rotation: geometry.rotation),
      RandomlyApplied(GaussianNoise(), probability: 0.1),
      RandomlyApplied(GaussianBlur(isPlanar: settings.isPlanar), probability: 0.2),
      RandomlyApplied(MultiplicativeBrightness(), probability: 0.15),
      RandomlyApplied(Contrast(), probability: 0.15),
      RandomlyApplied(
        SimulateLowResolution(ignoredAxes: settings.isPlanar || geometry.usesDummy2D ? [0] : []), probability: 0.25),
      RandomlyApplied(Gamma(inverts: true), probability: 0.1),
      RandomlyApplied(Gamma(inverts: false), probability: 0.3),
    ]
    if !settings.mirrorAxes.isEmpty { transforms.append(Mirror(allowedAxes: settings.sampleMirrorAxes)) }
    let masked = settings.useMaskForNorm.indices.filter { settings.useMaskForNorm[$0] }
    if !masked.isEmpty { transforms.append(MaskImage(channels: masked)) }
    transforms.append(RemoveLabel())
    if settings.isCascaded {
      let labels = settings.foregroundLabels
      transforms.append(MoveSegmentationToImage(labels: labels.map { Int16($0) }))
      transforms.append(
        RandomlyApplied(
          RandomBinaryOperator(oneHotCount: labels.count, isPlanar: settings.isPlanar), probability: 0.4))
      transforms.append(
        RandomlyApplied(RemoveRandomComponent(oneHotCount: labels.count), probability: 0.2))
    }
    return AugmentationPipeline(transforms + targetTransforms(settings))
  }

  /// What validation patches go through: no augmentation, the same targets.
  ///
  /// nnU-Net: `nnUNetTrainer.get_validation_transforms`.
  public static func validation(_ settings: AugmentationSettings) -> AugmentationPipeline {
    var transforms: [any SampleTransform] = [RemoveLabel()]
    if settings.isCascaded {
      transforms.append(MoveSegmentationToImage(labels: settings.foregroundLabels.map { Int16($0) }))
    }
    return AugmentationPipeline(transforms + targetTransforms(settings))
  }

  /// The conversion to regions, the ignore label as the last one, and the levels of deep supervision.
  private static func targetTransforms(_ settings: AugmentationSettings) -> [any SampleTransform] {
    var transforms: [any SampleTransform] = []
    if let regions = settings.regions {
      let ignored = settings.ignoreLabel.map { [[$0]] } ?? []
      transforms.append(ConvertToRegions(regions: (regions + ignored).map { $0.map { Int16($0) } }))
    }
    if let scales = settings.sampleScales { transforms.append(DownsampleForDeepSupervision(scales: scales)) }
    return transforms
  }
}
