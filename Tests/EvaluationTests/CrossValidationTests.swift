import Datasets
import Evaluation
import Foundation
import TensorTestSupport
import Testing

@Suite struct CrossValidationTests {
  private static let folds: [FoldSelection] = [.number(0), .number(1)]

  /// A model folder whose validation has the files of `predictions`, alternating between two folds.
  private func makeModel(_ folder: URL, predictions: URL, describedIn descriptions: URL) throws {
    let files = FileManager.default
    let names = try files.contentsOfDirectory(atPath: predictions.path).sorted()
    for name in names where name.hasPrefix("case_") {
      let number = try #require(name.dropFirst(5).first?.wholeNumberValue)
      let validation = folder.appendingPathComponent("fold_\(number % 2)/validation")
      try files.createDirectory(at: validation, withIntermediateDirectories: true)
      try files.copyItem(
        at: predictions.appendingPathComponent(name), to: validation.appendingPathComponent(name))
    }
    for name in ["plans.json", "dataset.json"] {
      try files.copyItem(at: descriptions.appendingPathComponent(name), to: folder.appendingPathComponent(name))
    }
  }

  private func folders(_ root: URL) -> DatasetFolders {
    DatasetFolders(
      raw: nil, preprocessed: root.appendingPathComponent("preprocessed"),
      results: root.appendingPathComponent("results"))
  }

  @Test func foldsTogetherGiveNnUNetsSummary() throws {
    guard let golden = Golden.folder("evaluation/labels") else { return }
    try withTemporaryFolder { root in
      let folders = folders(root)
      let references = try folders.preprocessedFolder("Dataset700_labels").appendingPathComponent("gt_segmentations")
      try FileManager.default.createDirectory(
        at: references.deletingLastPathComponent(), withIntermediateDirectories: true)
      try FileManager.default.copyItem(at: golden.appendingPathComponent("ref"), to: references)
      let model = root.appendingPathComponent("model")
      try makeModel(model, predictions: golden.appendingPathComponent("pred"), describedIn: golden)
      let results = CrossValidationResults(modelFolder: model, folds: Self.folds)
      #expect(results.outputFolder.lastPathComponent == "crossval_results_folds_0_1")
      let summary = try results.run(folders: folders, threads: nil, caseDone: { _, _ in })
      let expected = try EvaluationSummary(contentsOf: golden.appendingPathComponent("summary.json"))
      #expect(summary.cases.map(\.counts) == expected.cases.map(\.counts) && summary.cases.count == 4)
      #expect(abs(summary.foregroundMean.dice - expected.foregroundMean.dice) <= 1e-9)
      for name in ["summary.json", "plans.json", "dataset.json", "case_0.nii.gz"] {
        #expect(FileManager.default.fileExists(atPath: results.outputFolder.appendingPathComponent(name).path))
      }

      // A case in both folds, and a fold that is not there.
      let twin = model.appendingPathComponent("fold_1/validation/case_0.nii.gz")
      try FileManager.default.copyItem(at: golden.appendingPathComponent("pred/case_0.nii.gz"), to: twin)
      let error = #expect(throws: EvaluationError.self) {
        try results.run(folders: folders, threads: nil, caseDone: { _, _ in })
      }
      #expect(error?.description.contains("case_0") == true)
      #expect(throws: EvaluationError.foldMissing(folder: model.appendingPathComponent("fold_7/validation").path)) {
        try CrossValidationResults(modelFolder: model, folds: [.number(7)])
          .run(folders: folders, threads: nil, caseDone: { _, _ in })
      }
    }
  }

  /// Two models whose ensemble is the truth.
  @Test func theBestOfModelsAndEnsemblesIsFound() throws {
    guard let golden = Golden.folder("evaluation/ensemble_labels") else { return }
    let dataset = "Dataset700_ensemble_labels"
    try withTemporaryFolder { root in
      let folders = folders(root)
      let preprocessed = try folders.preprocessedFolder(dataset)
      try FileManager.default.createDirectory(at: preprocessed, withIntermediateDirectories: true)
      let expected = golden.appendingPathComponent("expected")
      try FileManager.default.copyItem(at: expected, to: preprocessed.appendingPathComponent("gt_segmentations"))
      let models = ["nnUNetTrainer", "nnUNetTrainer_5epochs"].map {
        ModelIdentifier(trainer: $0, plans: "nnUNetPlans", configuration: "3d_fullres")
      }
      try FileManager.default.copyItem(
        at: golden.appendingPathComponent("plans.json"), to: preprocessed.appendingPathComponent("nnUNetPlans.json"))
      for (index, model) in models.enumerated() {
        let folder = try folders.modelFolder(dataset, model)
        let member = golden.appendingPathComponent("member_\(index)")
        try makeModel(folder, predictions: member, describedIn: golden)
        // Each model's own segmentations.
        for fold in 0..<2 {
          let validation = folder.appendingPathComponent("fold_\(fold)/validation")
          let alone = try Ensemble(
            inputFolders: [validation], outputFolder: validation,
            datasetFile: golden.appendingPathComponent("dataset.json"),
            plansFile: golden.appendingPathComponent("plans.json"), savesProbabilities: false)
          #expect(try alone.run(threads: nil, caseDone: { _, _ in }).isEmpty)
        }
      }
      var notes: [String] = []
      var search = try BestConfiguration(
        dataset: dataset, folders: folders,
        models: models + [ModelIdentifier(trainer: "nnUNetTrainer", plans: "nnUNetPlans", configuration: "3d_lowres")],
        folds: Self.folds, allowsEnsembles: true, overwrites: true, threads: nil, note: { notes.append($0) })
      #expect(notes.count == 1 && notes.first?.contains("3d_lowres") == true)
      let result = try search.run(candidateDone: { _ in }, caseDone: { _, _ in })
      #expect(result.candidates.count == 3)
      #expect(result.best.identifier == "ensemble___\(models[0])___\(models[1])___0_1")
      #expect(result.best.dice == 1 && result.candidates[0].dice < 1 && result.candidates[1].dice < 1)
      try expectSameSegmentations(result.best.folder, expected)
      for line in ["nnUNetv2_ensemble -i OUTPUT_FOLDER_MODEL_1 OUTPUT_FOLDER_MODEL_2", "-f  0 1 -tr nnUNetTrainer -c"] {
        #expect(result.instructions.contains(line), "\(result.instructions)")
      }
      let information = try JSONValue(
        contentsOf: folders.resultsFolder(dataset).appendingPathComponent("inference_information.json"))
      #expect(information["all_results"]?.object?.count == 3)
      #expect(information["best_model_or_ensemble"]?["result_on_crossval_pre_pp"]?.double == 1)

      // The first of the two models, from what is there already.
      search.allowsEnsembles = false
      search.overwrites = false
      let single = try search.run(candidateDone: { _ in }, caseDone: { _, _ in })
      #expect(single.candidates.map(\.dice) == result.candidates.prefix(2).map(\.dice))
      #expect(single.best.members.count == 1 && !single.instructions.contains("nnUNetv2_ensemble"))
    }
  }
}
