import Datasets
import Foundation
import Inference
import ModelFormats
import NeuralNetworks
import TensorCore
import Testing
import Volumes

/// Peak memory of a large volume with many classes: takes minutes, so it runs only where `nnUNet_test_memory` is set
/// (and then with `--filter MemoryTests`, because the peak is that of the whole process).
struct MemoryTests {
  @Test(.enabled(if: ProcessInfo.processInfo.environment["nnUNet_test_memory"] != nil))
  func largeVolumeWithManyClasses() throws {
    try withTemporaryFolder { temporary in
      let input = temporary.appendingPathComponent("in")
      try FileManager.default.createDirectory(at: input, withIntermediateDirectories: true)
      try Self.writeImage(to: input.appendingPathComponent("large_0000.nii"))
      let model = temporary.appendingPathComponent("model")
      try Self.writeModel(to: model, classes: 105)
      let predictor = try Predictor(modelFolder: model, options: PredictionOptions(usesMirroring: false))
      let before = Self.peak()
      let start = ContinuousClock.now
      let report = try PredictionRun(
        predictor: predictor,
        settings: .init(inputFolder: input, outputFolder: temporary.appendingPathComponent("out"))
      ).run(progress: SilentProgress())
      #expect(report.isComplete, "\(report.failures)")
      let peak = Self.peak()
      print(
        "peak \(peak) GB (before \(before) GB), \(ContinuousClock.now - start), \(report.outcomes[0].seconds.seconds)")
      #expect(peak < 6)
    }
  }

  /// 600 slices of 512 x 512 voxels of 1.0 x 0.8 x 0.8 mm.
  private static func writeImage(to file: URL) throws {
    let shape = [1, 600, 512, 512]
    var image = VoxelGrid<Int16>(shape: shape, repeating: 0)
    for z in 0..<shape[1] {
      for y in 0..<shape[2] {
        for x in 0..<shape[3] { image[0, z, y, x] = Int16(1 + (z / 7 * 31 + y / 5 * 17 + x / 3 * 13) % 1000) }
      }
    }
    let properties = ImageProperties(
      spacing: [1, 0.8, 0.8],
      sitkStuff: SimpleITKGeometry(spacing: [0.8, 0.8, 1], origin: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1]))
    try SimpleITKReaderWriter().writeSegmentation(image, to: file, properties: properties)
  }

  private static func writeModel(to folder: URL, classes: Int) throws {
    var labels: JSONValue.Object = ["background": 0]
    for label in 1..<classes { labels["organ \(label)"] = .integer(label) }
    let description: JSONValue = [
      "channel_names": ["0": "CT"], "labels": .object(labels), "numTraining": 1, "file_ending": ".nii",
    ]
    let resampling: JSONValue = ["is_seg": false, "order": 1, "order_z": 0, "force_separate_z": nil]
    let plans: JSONValue = [
      "dataset_name": "Dataset999_Large", "plans_name": "nnUNetPlans",
      "original_median_spacing_after_transp": [1.5, 1.5, 1.5], "original_median_shape_after_transp": [400, 273, 273],
      "image_reader_writer": "SimpleITKIO", "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2],
      "experiment_planner_used": "ExperimentPlanner", "label_manager": "LabelManager",
      "foreground_intensity_properties_per_channel": [:],
      "configurations": [
        "3d_fullres": [
          "data_identifier": "nnUNetPlans_3d_fullres", "preprocessor_name": "DefaultPreprocessor", "batch_size": 2,
          "patch_size": [128, 128, 128], "median_image_size_in_voxels": [400, 273, 273], "spacing": [1.5, 1.5, 1.5],
          "normalization_schemes": ["ZScoreNormalization"], "use_mask_for_norm": [false],
          "resampling_fn_data": "resample_data_or_seg_to_shape",
          "resampling_fn_seg": "resample_data_or_seg_to_shape",
          "resampling_fn_data_kwargs": ["is_seg": false, "order": 3, "order_z": 0, "force_separate_z": nil],
          "resampling_fn_seg_kwargs": ["is_seg": true, "order": 1, "order_z": 0, "force_separate_z": nil],
          "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
          "resampling_fn_probabilities_kwargs": resampling, "batch_dice": false,
          "architecture": [
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": [
              "n_stages": 3, "features_per_stage": [8, 16, 32], "conv_op": "torch.nn.modules.conv.Conv3d",
              "kernel_sizes": [[3, 3, 3], [3, 3, 3], [3, 3, 3]], "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
              "n_conv_per_stage": [1, 1, 1], "n_conv_per_stage_decoder": [1, 1], "conv_bias": true,
              "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
              "norm_op_kwargs": ["eps": 1e-5, "affine": true], "dropout_op": nil, "dropout_op_kwargs": nil,
              "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": ["inplace": true],
            ], "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
          ],
        ]
      ],
    ]
    let fold = folder.appendingPathComponent("fold_0")
    try FileManager.default.createDirectory(at: fold, withIntermediateDirectories: true)
    try description.write(to: folder.appendingPathComponent("dataset.json"))
    try plans.write(to: folder.appendingPathComponent("plans.json"))
    let network = try UNet(
      configuration: Plans(json: plans).configuration(named: "3d_fullres"),
      datasetDescription: DatasetDescription(json: description), plansFile: nil)
    var generator = RandomGenerator(seed: 1)
    try TrainingCheckpoint(
      trainerName: "nnUNetTrainer", configuration: "3d_fullres", currentEpoch: 0, bestEMA: nil,
      inferenceAllowedMirroringAxes: nil, networkWeights: network.initialParameters(&generator).namedValues,
      aliases: network.layout.aliases, optimizerState: [], generators: [:], logging: [:]
    ).write(to: fold.appendingPathComponent("checkpoint_final.h5").path)
  }

  /// The most memory this process ever held, in GB (10^9).
  private static func peak() -> Double {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    let kilobytes = line?.split(separator: " ").compactMap { Int($0) }.first ?? 0
    return Double(kilobytes) * 1024 / 1e9
  }
}
