import Datasets
import Foundation

/// Plans, and what the planner has to say about them.
public struct PlannedExperiment: Sendable {
  /// The contents of the plans file.
  public let json: JSONValue.Object
  public let plansName: String
  /// Remarks for the user, such as a dropped low-resolution configuration.
  public let remarks: [String]
}

extension ExperimentPlanner {
  /// Plans all configurations a data set calls for.
  ///
  /// nnU-Net: `plan_experiment`.
  /// - Parameter readerWriterName: nnU-Net's name of the reader for the images, written into the plans.
  public func plan(
    datasetName: String, description: DatasetDescription, fingerprint: DatasetFingerprint, readerWriterName: String
  ) throws -> PlannedExperiment {
    var remarks: [String] = []
    if encoder == .residual, memoryTarget != defaultMemoryTarget {
      remarks.append(
        "\(name) was made for \(defaultMemoryTarget) GB of GPU memory; the target is \(memoryTarget) GB")
    }
    if sharesDefaultData, overwriteTargetSpacing != nil {
      remarks.append(
        "as in nnU-Net, the cases of 2d and 3d_fullres go to the folders of the default plans (nnUNetPlans_*): "
          + "preprocessing replaces what is there")
    }
    let trainingCaseCount = Double(try description.requireTrainingCaseCount())
    let fullSpacing = try fullResolutionSpacing(fingerprint)
    let (forward, backward) = transposition(fullSpacing)
    func transposed(_ values: [Double]) -> [Double] { forward.map { values[$0] } }
    let spacing = transposed(fullSpacing)

    // The sizes of all images after resampling.
    let resampledShapes = zip(fingerprint.spacings, fingerprint.shapesAfterCrop).map { old, shape in
      (0..<3).map { Statistics.rounded(old[$0] / fullSpacing[$0] * Double(shape[$0])) }
    }
    let medianShape = transposed(Statistics.byColumn(resampledShapes, Statistics.median))
    let medianVoxels = Statistics.product(medianShape)
    let datasetVoxelCount = medianVoxels * trainingCaseCount
    let normalization = normalization(description, fingerprint)
    if description.json["channel_names"] == nil {
      remarks.append("'modality' in dataset.json should be renamed to 'channel_names'")
    }
    func draft(_ name: String, _ spacing: [Double], _ shape: MedianShape, _ voxels: Double) throws
      -> ConfigurationDraft
    {
      try self.draft(
        name: name, spacing: spacing, medianShape: shape, datasetVoxelCount: voxels, normalization: normalization,
        description: description)
    }

    var full: ConfigurationDraft?
    var low: ConfigurationDraft?
    if medianShape[0] != 1 {
      let fullDraft = try draft("3d_fullres", spacing, .exact(medianShape), datasetVoxelCount)
      var patchVoxels = Statistics.product(fullDraft.patchSize.map(Double.init))
      var lowSpacing = spacing
      var lowVoxels = medianVoxels
      while patchVoxels / lowVoxels < lowResolutionThreshold {
        // Coarsen in small steps; first the axes that are more than twice as fine as the coarsest.
        let coarsest = lowSpacing.max() ?? 0
        let fine = lowSpacing.indices.filter { coarsest / lowSpacing[$0] > 2 }
        for axis in fine.isEmpty ? Array(lowSpacing.indices) : fine { lowSpacing[axis] *= 1.03 }
        let shape = (0..<3).map { spacing[$0] / lowSpacing[$0] * medianShape[$0] }
        lowVoxels = Statistics.product(shape)
        let lowDraft = try draft(
          "3d_lowres", lowSpacing, .rounded(shape.map { Int(Statistics.rounded($0)) }), lowVoxels * trainingCaseCount)
        patchVoxels = Statistics.product(lowDraft.patchSize.map(Double.init))
        low = lowDraft
      }
      if low != nil, medianVoxels / lowVoxels < 2 {
        remarks.append("3d_lowres is left out: its images would be less than a factor of 2 smaller than 3d_fullres")
        low = nil
      }
      full = fullDraft
    }
    let flat = try draft("2d", Array(spacing.dropFirst()), .exact(Array(medianShape.dropFirst())), datasetVoxelCount)

    var configurations: JSONValue.Object = [:]
    func add(_ name: String, _ draft: ConfigurationDraft, batchDice: Bool, nextStage: String?) {
      var json = draft.json
      json["batch_dice"] = .bool(batchDice)
      if let nextStage { json["next_stage"] = .string(nextStage) }
      configurations[name] = .object(json)
    }
    add("2d", flat, batchDice: true, nextStage: nil)
    if let low { add("3d_lowres", low, batchDice: false, nextStage: "3d_cascade_fullres") }
    if let full {
      add("3d_fullres", full, batchDice: low != nil, nextStage: nil)
      if low != nil {
        configurations["3d_cascade_fullres"] = ["inherits_from": "3d_fullres", "previous_stage": "3d_lowres"]
      }
    }

    let medianSpacing = transposed(Statistics.byColumn(fingerprint.spacings, Statistics.median))
    let originalShape = transposed(
      Statistics.byColumn(fingerprint.shapesAfterCrop.map { $0.map(Double.init) }, Statistics.median))
    return PlannedExperiment(
      json: [
        "dataset_name": .string(datasetName),
        "plans_name": .string(plansName),
        "original_median_spacing_after_transp": JSONValue(medianSpacing),
        "original_median_shape_after_transp": JSONValue(originalShape.map { Int(Statistics.rounded($0)) }),
        "image_reader_writer": .string(readerWriterName),
        "transpose_forward": JSONValue(forward),
        "transpose_backward": JSONValue(backward),
        "configurations": .object(configurations),
        "experiment_planner_used": .string(name),
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": fingerprint.intensityPropertiesJSON,
      ], plansName: plansName, remarks: remarks)
  }

  // MARK: Spacing and axes

  /// The target spacing of `3d_fullres` in the file's axis order: the median of each axis, finer along a coarse axis
  /// with few slices, where the median would blur too much.
  func fullResolutionSpacing(_ fingerprint: DatasetFingerprint) throws -> [Double] {
    if let overwriteTargetSpacing {
      guard overwriteTargetSpacing.count == 3, overwriteTargetSpacing.allSatisfy({ $0 > 0 && $0.isFinite }) else {
        throw DatasetError(
          .invalidValue, file: nil,
          problem: "the target spacing \(overwriteTargetSpacing) isn't made of three positive numbers",
          advice: "Give three numbers in millimetres in the order Z, Y, X, for example -overwrite_target_spacing 3 1 1")
      }
      return overwriteTargetSpacing
    }
    var target = Statistics.byColumn(fingerprint.spacings) { Statistics.quantile($0, 0.5) }
    let size = Statistics.byColumn(fingerprint.shapesAfterCrop.map { $0.map(Double.init) }) {
      Statistics.quantile($0, 0.5)
    }
    let worst = Statistics.indexOfMaximum(target)
    let others = target.indices.filter { $0 != worst }
    let coarsestOther = others.map { target[$0] }.max() ?? 0
    let smallestOther = others.map { size[$0] }.min() ?? 0
    let threshold = Double(anisotropyThreshold)
    if target[worst] > threshold * coarsestOther, size[worst] * threshold < smallestOther {
      var finer = Statistics.quantile(fingerprint.spacings.map { $0[worst] }, 0.1)
      if finer < coarsestOther { finer = max(coarsestOther, finer) + 1e-5 }
      target[worst] = finer
    }
    return target
  }

  /// The order that brings the coarsest axis to the front, and its inverse.
  func transposition(_ spacing: [Double]) -> (forward: [Int], backward: [Int]) {
    if suppressTranspose { return ([0, 1, 2], [0, 1, 2]) }
    let coarsest = Statistics.indexOfMaximum(spacing)
    let forward = [coarsest] + [0, 1, 2].filter { $0 != coarsest }
    var backward = forward
    for (position, axis) in forward.enumerated() { backward[axis] = position }
    return (forward, backward)
  }

  // MARK: Normalisation

  /// The normalisation of every channel by its name, and whether it uses the nonzero mask.
  func normalization(
    _ description: DatasetDescription, _ fingerprint: DatasetFingerprint
  ) -> (schemes: [String], useMask: [Bool]) {
    let schemes = description.channelNames.map(Self.normalizationScheme)
    let isCroppedMuch = fingerprint.medianRelativeSizeAfterCropping < 0.75
    return (schemes, schemes.map { isCroppedMuch && $0 == "ZScoreNormalization" })
  }

  /// nnU-Net: preprocessing/normalization/map_channel_name_to_normalization.py.
  package static func normalizationScheme(channelName: String) -> String {
    switch channelName.lowercased() {
    case "ct": "CTNormalization"
    case "nonorm": "NoNormalization"
    case "rescale_to_0_1": "RescaleTo01Normalization"
    case "rgb_to_0_1": "RGBTo01Normalization"
    default: "ZScoreNormalization"
    }
  }
}
