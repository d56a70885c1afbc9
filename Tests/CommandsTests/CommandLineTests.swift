import Commands
import Foundation
import TensorTestSupport
import Testing

@Suite struct CommandLineTests {
  /// Every option that nnU-Net's own help names is in ours, under all its names.
  @Test func everyOptionOfNnUNetIsThere() throws {
    guard let folder = Golden.shared("reference/cli") else { return }
    #expect(CommandLineTool.commandNames.count >= 9)
    for name in CommandLineTool.commandNames {
      let reference = try String(contentsOf: folder.appendingPathComponent(name + ".txt"), encoding: .utf8)
      let help = try #require(CommandLineTool.help(of: name))
      let options = reference.split(separator: "\n").flatMap { line -> [String] in
        guard line.hasPrefix("  -") else { return [] }
        // Names and aliases, each perhaps with its value, stand before two spaces.
        let names = line.dropFirst(2).components(separatedBy: "  ")[0].components(separatedBy: ", ")
        return names.compactMap { $0.split(separator: " ").first.map(String.init) }.filter { $0.hasPrefix("-") }
      }
      #expect(!options.isEmpty, "no options found in the reference's help of \(name)")
      for option in options {
        let pattern = try Regex("(^|[ ,\\[(])\(NSRegularExpression.escapedPattern(for: option))([ ,\\])]|$)")
          .anchorsMatchLineEndings()
        #expect(help.contains(pattern), "\(name) has no \(option):\n\(help)")
      }
    }
  }

  @Test(arguments: [
    ["nnUNetv2_train", "4", "3d_fullres", "0", "-tr", "nnUNetTrainer_5epochs", "-p", "MyPlans", "--npz", "--c"],
    [
      "nnUNetv2_train", "Dataset004_Hippocampus", "2d", "all", "--val", "--val_best", "-device", "cpu", "-num_gpus",
      "1",
    ],
    ["nnUNetv2_predict", "-i", "in", "-o", "out", "-d", "4", "-c", "2d", "-f", "0", "1", "all", "-step_size", "0.75"],
    [
      "nnUNetv2_predict", "-d", "4", "-f", "0", "-i", "in", "-o", "out", "-c", "2d", "-num_parts", "3", "-part_id", "2",
    ],
    [
      "nnUNetv2_predict_from_modelfolder", "-i", "in", "-o", "out", "-m", "model", "--disable_tta", "-chk",
      "checkpoint_best.pth", "--c", "--memory_limit", "7.5",
    ],
    [
      "nnUNetv2_plan_and_preprocess", "-d", "2", "4", "-pl", "nnUNetPlannerResEncM", "-c", "2d", "3d_fullres", "-np",
      "2", "4",
    ],
    ["nnUNetv2_plan_and_preprocess", "-d", "4", "-overwrite_target_spacing", "1", "0.5", "0.5", "--no_pp", "--clean"],
    ["nnUNetv2_evaluate_folder", "gt", "pred", "-djfile", "d.json", "-pfile", "p.json", "--chill", "-np", "2"],
    ["nnUNetv2_evaluate_simple", "gt", "pred", "-l", "1", "2", "-il", "-1"],
    ["nnUNetv2_find_best_configuration", "4", "-c", "2d", "3d_fullres", "-f", "0", "1", "--disable_ensembling"],
    ["nnUNetv2_accumulate_crossval_results", "4", "-c", "2d", "-f", "0", "1", "-o", "out"],
    [
      "nnUNetv2_export_model_to_zip", "-d", "4", "-o", "a.zip", "-c", "2d", "-f", "0", "all", "-chk", "a",
      "--not_strict",
    ],
    ["nnUNetv2_install_pretrained_model_from_zip", "a.zip"],
    [
      "nnUNetv2_plot_overlay_pngs", "-d", "4", "-o", "out", "-channel_idx", "1", "--use_raw", "-overlay_intensity",
      "0.3",
    ],
    ["nnUNetv2_plan_and_preprocess", "-d", "Dataset004_Hippocampus", "-npfp", "2", "--overwrite", "--no_pbar"],
    ["nnUNetv2_preprocess", "-d", "4", "-plans_name", "Mine", "-c", "2d", "-np", "3", "--verbose"],
    ["nnUNetv2_convert_MSD_dataset", "-i", "Task05_Prostate", "-overwrite_id", "77", "-np", "2"],
    ["nnUNetv2_convert_old_nnUNet_dataset", "Task004_Hippocampus", "Dataset004_Hippocampus"],
    ["nnUNetv2_move_plans_between_datasets", "-s", "4", "-t", "Dataset005_X", "-sp", "nnUNetPlans", "-tp", "Mine"],
    ["train", "4", "3d_fullres", "0"],
  ])
  func commandLinesOfNnUNetAreAccepted(arguments: [String]) {
    let refusal = CommandLineTool.refusal(of: arguments)
    #expect(refusal == nil, "\(arguments): \(refusal?.message ?? "")")
  }

  @Test(arguments: [
    (["nnUNetv2_train", "4", "3d_fullres"], "fold"),
    (["nnUNetv2_train", "4", "3d_fullres", "x"], "fold"),
    (["nnUNetv2_train", "4", "3d_fullres", "0", "--c", "--val"], "--c and --val"),
    (["nnUNetv2_train", "4", "3d_fullres", "0", "--val_best", "--disable_checkpointing"], "--val_best"),
    (["nnUNetv2_train", "4", "3d_fullres", "0", "-device", "cuda"], "the devices there are: cpu"),
    (["nnUNetv2_train", "4", "3d_fullres", "0", "-num_gpus", "2"], "-num_gpus 2"),
    (["nnUNetv2_predict", "-i", "in", "-o", "out", "-d", "4", "-c", "2d", "-device", "mps"], "-device mps"),
    (["nnUNetv2_predict", "-i", "in", "-o", "out", "-d", "4", "-c", "2d", "-step_size", "1.5"], "-step_size 1.5"),
    (
      ["nnUNetv2_predict", "-i", "in", "-o", "out", "-d", "4", "-c", "2d", "-num_parts", "2", "-part_id", "2"],
      "-part_id 2"
    ),
    (["nnUNetv2_predict", "-i", "in", "-o", "out", "-d", "4", "-c", "2d", "-f", "zero"], "-f zero"),
    (["nnUNetv2_predict", "-i", "in", "-o", "out", "-d", "4", "-c", "2d", "--memory_limit", "0"], "--memory_limit"),
    (["nnUNetv2_plan_and_preprocess", "-d", "4", "-overwrite_target_spacing", "1", "2"], "three positive numbers"),
    (["nnUNetv2_plan_and_preprocess", "-d", "4", "-c", "2d", "3d_fullres", "3d_lowres", "-np", "1", "2"], "-np takes"),
    (["nnUNetv2_plan_and_preprocess", "-d", "4", "-fpe", "Mine"], "-fpe Mine"),
    (["nnUNetv2_plan_and_preprocess", "-d", "4", "-npfp", "0"], "-npfp 0"),
    (["nnUNetv2_plan_and_preprocess", "-d", "4", "-preprocessor_name", "Mine"], "-preprocessor_name Mine"),
    (["nnUNetv2_plan_experiment", "-d", "4", "-gpu_memory_target", "0"], "-gpu_memory_target 0"),
    (["nnUNetv2_extract_fingerprint", "-d", "4", "-np", "0"], "-np 0"),
    (["nnUNetv2_ensemble", "-i", "a", "b", "-o", "c", "-np", "0"], "-np 0"),
    (["nnUNetv2_preprocess", "-d", "4", "-np", "0"], "-np takes"),
    (["nnUNetv2_convert_MSD_dataset"], "-i"),
    (["nnUNetv2_convert_MSD_dataset", "-i", "x", "-np", "0"], "-np 0"),
    (["nnUNetv2_convert_old_nnUNet_dataset", "Task004_Hippocampus"], "output-dataset-name"),
    (["nnUNetv2_move_plans_between_datasets", "-s", "4", "-t", "5"], "-sp"),
    (["nnUNetv2_nothing"], "nnUNetv2_nothing"),
  ])
  func wrongUsageIsNamedAndExitsWith64(arguments: [String], expected: String) throws {
    let refusal = try #require(CommandLineTool.refusal(of: arguments))
    #expect(refusal.code == 64)
    #expect(refusal.message.contains(expected), "\(refusal.message)")
  }

  @Test func aDatasetThatFailsIsLeftOutAndTheOthersGoOn() throws {
    struct Failure: Error {}
    var queue = DatasetQueue(["a", "b", "c"])
    var done: [String] = []
    queue.forEach { name in
      if name == "b" { throw Failure() }
      done.append(name)
    }
    queue.forEach { done.append($0 + "2") }
    #expect(queue.names == ["a", "c"])
    #expect(done == ["a", "c", "a2", "c2"])
    #expect(throws: (any Error).self) { try queue.finish() }
    try DatasetQueue([]).finish()
  }
}
