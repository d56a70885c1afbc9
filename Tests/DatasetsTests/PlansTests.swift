import Datasets
import Foundation
import TensorTestSupport
import Testing

@Suite struct PlansTests {
  static func plans(configurations: String, transpose: String = "[0, 1, 2]") throws -> Plans {
    try Plans(
      json: JSONValue(
        parsing: """
          {"dataset_name": "Dataset001_X", "plans_name": "p", "original_median_spacing_after_transp": [1, 1, 1],
           "original_median_shape_after_transp": [10, 10, 10], "image_reader_writer": "SimpleITKIO",
           "transpose_forward": \(transpose), "transpose_backward": [0, 1, 2],
           "foreground_intensity_properties_per_channel": {}, "configurations": \(configurations)}
          """), file: "plans.json")
  }

  @Test func cascadesInherit() throws {
    guard let folder = Golden.folder("planner/colon_ct") else { return }
    let plans = try Plans(contentsOf: folder.appendingPathComponent("nnUNetPlans.json"))
    let cascade = try plans.configuration(named: "3d_cascade_fullres")
    let full = try plans.configuration(named: "3d_fullres")
    #expect(cascade.previousStage == "3d_lowres")
    #expect(cascade.patchSize == full.patchSize)
    #expect(cascade.dataIdentifier == full.dataIdentifier)
    #expect(try plans.configuration(named: "3d_lowres").nextStages == ["3d_cascade_fullres"])
    #expect(plans.foregroundIntensityProperties[0]?.mean.isFinite == true)
    let description = try DatasetDescription(contentsOf: folder.appendingPathComponent("dataset.json"))
    #expect(try LabelManager(description).inputChannelCount(channels: 1, configuration: cascade) == 2)
  }

  @Test func circularInheritanceAndUnknownNames() throws {
    let plans = try Self.plans(
      configurations: "{\"a\": {\"inherits_from\": \"b\"}, \"b\": {\"inherits_from\": \"a\"}}")
    let circular = #expect(throws: DatasetError.self) { try plans.configuration(named: "a") }
    #expect(circular?.description.contains("inherits from itself (a -> b -> a)") == true)
    let unknown = #expect(throws: DatasetError.self) { try plans.configuration(named: "2d") }
    #expect(unknown?.kind == .notFound)
    #expect(unknown?.description.contains("a, b") == true)
  }

  @Test func transpositionsMustFit() {
    #expect(throws: DatasetError.self) { try Self.plans(configurations: "{}", transpose: "[2, 0, 1]") }
    #expect(throws: DatasetError.self) { try Self.plans(configurations: "{}", transpose: "[0, 0, 1]") }
  }

  @Test func oldPlansBecomeNew() throws {
    let plans = try Self.plans(
      configurations: """
        {"2d": {"data_identifier": "nnUNetPlans_2d", "preprocessor_name": "DefaultPreprocessor", "batch_size": 12,
         "patch_size": [64, 64], "median_image_size_in_voxels": [60.0, 60.0], "spacing": [1.0, 1.0],
         "normalization_schemes": ["ZScoreNormalization"], "use_mask_for_norm": [false],
         "UNet_class_name": "PlainConvUNet", "UNet_base_num_features": 32,
         "n_conv_per_stage_encoder": [2, 2, 2, 2, 2, 2],
         "n_conv_per_stage_decoder": [2, 2, 2, 2, 2], "num_pool_per_axis": [5, 5],
         "pool_op_kernel_sizes": [[1, 1], [2, 2]], "conv_kernel_sizes": [[3, 3], [3, 3]], "unet_max_num_features": 512,
         "resampling_fn_data": "resample_data_or_seg_to_shape", "resampling_fn_data_kwargs": {"order": 3},
         "resampling_fn_seg": "resample_data_or_seg_to_shape", "resampling_fn_seg_kwargs": {},
         "resampling_fn_probabilities": "resample_data_or_seg_to_shape", "resampling_fn_probabilities_kwargs": {},
         "batch_dice": true}}
        """)
    let configuration = try plans.configuration(named: "2d")
    let architecture = configuration.architecture
    #expect(architecture.networkClassName == "dynamic_network_architectures.architectures.unet.PlainConvUNet")
    #expect(architecture.archKwargs["features_per_stage"] == [32, 64, 128, 256, 512, 512])
    #expect(architecture.archKwargs["conv_op"] == "torch.nn.modules.conv.Conv2d")
    #expect(architecture.archKwargs["n_conv_per_stage"] == [2, 2, 2, 2, 2, 2])
    #expect(architecture.archKwargs["strides"] == [[1, 1], [2, 2]])
    #expect(configuration.json["UNet_class_name"] == nil)
    #expect(configuration.resamplingFnData.keywordArguments["order"] == 3)
  }

  @Test func incompleteConfigurationsNameTheKey() throws {
    let plans = try Self.plans(configurations: "{\"2d\": {\"architecture\": {}, \"data_identifier\": 3}}")
    let error = #expect(throws: DatasetError.self) { try plans.configuration(named: "2d") }
    #expect(error?.description.contains("plans.json: 'configurations.2d.data_identifier'") == true)
  }
}
