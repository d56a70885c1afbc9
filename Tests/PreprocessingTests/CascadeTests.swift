import Datasets
import Preprocessing
import Testing
import Volumes

@Suite struct CascadeTests {
  /// What nnU-Net 2.8.1 makes of a case and the previous stage's segmentation for a cascade's second stage:
  /// `DefaultPreprocessor.run_case_npy(image[None], previous[None], {'spacing': [2, 1, 1.5]}, ...)`, then
  /// `np.vstack((data, convert_labelmap_to_one_hot(seg[0], label_manager.foreground_labels, data.dtype)))` as in
  /// `preprocess_fromfiles_save_to_queue`, with the image, segmentation, plans and data set below. The digits are the
  /// one-hot channels, 0 where all are 0: a line for every index along the first axis.
  private static let expected = [
    "00011112220001111222000111122211122223331112222333111222233311122223332223333000222333300022233330002223333000",
    "00011112220001111222000111122211122223331112222333111222233311122223332223333000222333300022233330002223333000",
    "00011112220001111222001111122211122223331112222333111222233311122223332223333000222333300022233330002223333000",
    "00111112220011111222111222223311222223331122222333112222233322233333002233333000223333300022333330002233333000",
    "11122223331112222333111222233322233330002223333000222333300022233330003330000111333000011133300001113330000111",
    "11122223331112222333111222233322233330002223333000222333300022233330003330000111333000011133300001113330000111",
    "11122223331112222333111222233322233330002223333000222333300022233330003330000111333000011133300001113330000111",
    "22233330002223333000222333300033300001113330000111333000011133300001110001111222000111122200011112220001111222",
  ]
  private static let shape = [8, 11, 10]

  /// Axes are transposed; a border is cropped away; a corner that is 0 stays and has the label -1; all three axes are
  /// resampled; the data set has an ignore label, which gets no channel.
  @Test func thePreviousStageIsResampledAndBecomesOneChannelForEachLabel() throws {
    var image = VoxelGrid<Float>(shape: [1, 9, 11, 8], repeating: 0)
    var previous = VoxelGrid<Int16>(shape: [1, 9, 11, 8], repeating: 0)
    for z in 0..<9 {
      for y in 0..<11 {
        for x in 0..<8 {
          let index = (z * 11 + y) * 8 + x
          let isZero = z < 1 || y >= 9 || x < 1 || (z < 4 && y < 3 && x < 4)
          image.elements[index] = isZero ? 0 : Float((7 * z + 5 * y + 3 * x) % 11 + 1)
          previous.elements[index] = Int16((z / 3 + y / 4 + x / 3) % 4)
        }
      }
    }
    let plans = try Plans(json: Self.plans)
    let description = try DatasetDescription(json: [
      "channel_names": ["0": "a"], "labels": ["background": 0, "a": 1, "b": 2, "c": 3, "ignore": 4],
      "file_ending": ".nii.gz", "numTraining": 1,
    ])
    let result = try Preprocessor(
      plans: plans, configuration: plans.configuration(named: "3d_cascade_fullres"), datasetDescription: description
    )
    .run(image: image, segmentation: previous, properties: ImageProperties(spacing: [2, 1, 1.5]))
    #expect(result.segmentation.elements.count { $0 == -1 } == 26)
    let labels = try LabelManager(description).foregroundLabels
    #expect(labels == [1, 2, 3])
    let data = result.appendingOneHot(of: labels).data
    try #require(data.shape == [4] + Self.shape)
    let digits = Self.expected.joined().compactMap(\.wholeNumberValue)
    try #require(digits.count == data.voxelCount)
    for channel in 0..<3 {
      #expect(data.channel(channel + 1).elements == digits.map { $0 == channel + 1 ? 1 : 0 }, "label \(channel + 1)")
    }
    // The image comes first: nnU-Net's extremes and corners of it.
    let voxels = data.channel(0).elements
    for (found, wanted) in [
      (voxels.min(), -1.775947), (voxels.max(), 1.5788262), (voxels.first, -0.10382626), (voxels.last, 0.75372523),
    ] {
      #expect(abs(try #require(found) - Float(wanted)) <= 1e-5, "\(String(describing: found)), expected \(wanted)")
    }
  }

  private static let plans: JSONValue = {
    func resampling(isSegmentation: Bool, order: Int) -> JSONValue {
      ["is_seg": .bool(isSegmentation), "order": .integer(order), "order_z": 0, "force_separate_z": .null]
    }
    return [
      "dataset_name": "Dataset001_X", "plans_name": "nnUNetPlans", "image_reader_writer": "SimpleITKIO",
      "original_median_spacing_after_transp": [1.0, 1.0, 1.0], "original_median_shape_after_transp": [9, 9, 9],
      "transpose_forward": [1, 0, 2], "transpose_backward": [1, 0, 2], "label_manager": "LabelManager",
      "experiment_planner_used": "ExperimentPlanner", "foreground_intensity_properties_per_channel": [:],
      "configurations": [
        "3d_cascade_fullres": ["inherits_from": "3d_fullres", "previous_stage": "3d_lowres"],
        "3d_fullres": [
          "data_identifier": "nnUNetPlans_3d_fullres", "preprocessor_name": "DefaultPreprocessor", "batch_size": 2,
          "patch_size": [8, 8, 8], "median_image_size_in_voxels": [9.0, 9.0, 9.0], "spacing": [1.2, 1.4, 1.1],
          "normalization_schemes": ["ZScoreNormalization"], "use_mask_for_norm": [true], "batch_dice": false,
          "resampling_fn_data": "resample_data_or_seg_to_shape",
          "resampling_fn_data_kwargs": resampling(isSegmentation: false, order: 3),
          "resampling_fn_seg": "resample_data_or_seg_to_shape",
          "resampling_fn_seg_kwargs": resampling(isSegmentation: true, order: 1),
          "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
          "resampling_fn_probabilities_kwargs": resampling(isSegmentation: false, order: 1),
          "architecture": [
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": [:], "_kw_requires_import": [],
          ],
        ],
      ],
    ]
  }()
}
