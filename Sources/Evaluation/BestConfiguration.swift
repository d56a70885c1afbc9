import Datasets
import Foundation
import Volumes

/// Compares the cross-validations of trained models and of ensembles of two of them, picks the best, and finds out how
/// to postprocess its predictions.
///
/// nnU-Net: `find_best_configuration` of `nnunetv2/evaluation/find_best_configuration.py`.
public struct BestConfiguration: Sendable {
  public var dataset: String
  public var folders: DatasetFolders
  /// In the order in which equal results are preferred.
  public var models: [ModelIdentifier]
  public var folds: [FoldSelection]
  public var allowsEnsembles: Bool
  /// Whether results of earlier runs are made again.
  public var overwrites: Bool
  /// Cases at a time; `nil` for one a thread.
  public var threads: Int?

  /// - Parameters:
  ///   - dataset: its name.
  ///   - models: those whose configuration is not in their plans are left out.
  ///   - note: is told which are left out.
  /// - Throws: ``EvaluationError`` if a model has not been trained, or none remains; what is wrong with the plans.
  public init(
    dataset: String, folders: DatasetFolders, models: [ModelIdentifier], folds: [FoldSelection],
    allowsEnsembles: Bool, overwrites: Bool, threads: Int?, note: (String) -> Void
  ) throws {
    self.dataset = dataset
    self.folders = folders
    self.folds = folds
    self.allowsEnsembles = allowsEnsembles
    self.overwrites = overwrites
    self.threads = threads
    self.models = []
    for model in models {
      guard try folders.plans(named: model.plans, of: dataset).configurationNames.contains(model.configuration) else {
        note("Configuration \(model.configuration) not found in plans \(model.plans)")
        continue
      }
      let folder = try folder(of: model)
      guard FileManager.default.fileExists(atPath: folder.path) else {
        throw EvaluationError.fileMissing(
          file: folder.path,
          advice: "Train this model (with --npz for ensembles), or leave its configuration out with -c")
      }
      self.models.append(model)
    }
    guard !self.models.isEmpty else { throw EvaluationError.noModels(dataset: dataset) }
  }

  /// What was compared: a model, or an ensemble of two.
  public struct Candidate: Sendable {
    public let identifier: String
    public let members: [ModelIdentifier]
    /// Where its predictions of the training set are.
    public let folder: URL
    public let summary: EvaluationSummary
    public var dice: Double { summary.foregroundMean.dice }
  }

  public struct Result: Sendable {
    public let candidates: [Candidate]
    public let best: Candidate
    public let postprocessing: PostprocessingSearch.Result
    /// The commands that predict with the best candidate.
    public let instructions: String
  }

  /// Compares all, and writes `inference_information.json` and `inference_instructions.txt` into the data set's folder
  /// of results.
  /// - Parameters:
  ///   - candidateDone: called after every model and every ensemble.
  ///   - caseDone: called after every case of one of them, from any thread.
  /// - Throws: ``EvaluationError``: a choice among some of the results would be none.
  public func run(
    candidateDone: (Candidate) -> Void, caseDone: @Sendable (Int, Int) -> Void
  ) throws -> Result {
    var candidates: [Candidate] = []
    func add(_ identifier: String, _ members: [ModelIdentifier], _ folder: URL, _ summary: EvaluationSummary) {
      let candidate = Candidate(identifier: identifier, members: members, folder: folder, summary: summary)
      candidates.append(candidate)
      candidateDone(candidate)
    }
    for model in models {
      var results = CrossValidationResults(modelFolder: try folder(of: model), folds: folds)
      results.overwrites = overwrites
      let summary = try results.run(folders: folders, threads: threads, caseDone: caseDone)
      add(model.description, [model], results.outputFolder, summary)
    }
    if allowsEnsembles {
      for (index, first) in models.enumerated() {
        for second in models.dropFirst(index + 1) {
          let identifier = DatasetFolders.ensembleName([first, second], folds: folds)
          let folder = try folders.ensemblesFolder(dataset)
            .appendingPathComponent(identifier, isDirectory: true)
          add(identifier, [first, second], folder, try ensemble([first, second], folder, caseDone))
        }
      }
    }
    // The first of equals: the simpler one. What has no mean (a class that never occurs) can't be the best.
    guard let first = candidates.first else { throw EvaluationError.noModels(dataset: dataset) }
    let best = candidates.dropFirst().reduce(first) { $1.dice > $0.dice || ($0.dice.isNaN && !$1.dice.isNaN) ? $1 : $0 }
    let postprocessing = try postprocess(best)
    let instructions = try InferenceInstructions(self, best: best).text
    try write(candidates, best, postprocessing, instructions)
    return Result(candidates: candidates, best: best, postprocessing: postprocessing, instructions: instructions)
  }

  func folder(of model: ModelIdentifier) throws -> URL {
    try folders.modelFolder(dataset, model)
  }

  private func ensemble(
    _ members: [ModelIdentifier], _ output: URL, _ caseDone: @Sendable (Int, Int) -> Void
  ) throws -> EvaluationSummary {
    let models = try members.map { try folder(of: $0) }
    var ensemble = try Ensemble(modelFolders: models, folds: folds, outputFolder: output)
    ensemble.overwrites = overwrites
    let failures = try ensemble.run(threads: threads, caseDone: caseDone)
    guard failures.isEmpty else { throw EvaluationError.someCasesFailed(failures) }
    for name in ["plans.json", "dataset.json"] {
      try FileCopy.copy(models[0].appendingPathComponent(name), to: output.appendingPathComponent(name))
    }
    return try CrossValidationResults.evaluate(
      output, description: ensemble.description, plans: Plans(contentsOf: output.appendingPathComponent("plans.json")),
      folders: folders, prefersRaw: false, threads: threads, caseDone: caseDone)
  }

  private func postprocess(_ best: Candidate) throws -> PostprocessingSearch.Result {
    let plans = try Plans(contentsOf: best.folder.appendingPathComponent("plans.json"))
    return try PostprocessingSearch(
      predictionFolder: best.folder,
      referenceFolder: CrossValidationResults.referenceFolder(dataset, folders, prefersRaw: false),
      description: DatasetDescription(contentsOf: best.folder.appendingPathComponent("dataset.json")),
      readerWriter: ReaderWriters.named(plans.imageReaderWriter)
    )
    .runAndWrite(threads: threads, keepsFiles: true, trialDone: { _ in })
  }

  private func write(
    _ candidates: [Candidate], _ best: Candidate, _ postprocessing: PostprocessingSearch.Result,
    _ instructions: String
  ) throws {
    let information: JSONValue = [
      "folds": .array(folds.map { Int($0.description).map(JSONValue.integer) ?? .string($0.description) }),
      "dataset_name_or_id": .string(dataset),
      "considered_models": .array(
        models.map {
          [
            "plans": .string($0.plans), "configuration": .string($0.configuration), "trainer": .string($0.trainer),
          ]
        }),
      "ensembling_allowed": .bool(allowsEnsembles),
      "all_results": .object(
        .init(uniqueKeysWithValues: candidates.map { ($0.identifier, JSONValue.number($0.dice)) })),
      "best_model_or_ensemble": [
        "result_on_crossval_pre_pp": .number(best.dice),
        "result_on_crossval_post_pp": .number(postprocessing.after.foregroundMean.dice),
        "postprocessing_file": .string(best.folder.appendingPathComponent("postprocessing.pkl").path),
        "some_plans_file": .string(best.folder.appendingPathComponent("plans.json").path),
        "selected_model_or_models": .array(
          best.members.map {
            [
              "configuration": .string($0.configuration), "trainer": .string($0.trainer),
              "plans_identifier": .string($0.plans),
            ]
          }),
      ],
    ]
    let folder = try folders.resultsFolder(dataset)
    try information.write(to: folder.appendingPathComponent("inference_information.json"), sortKeys: true)
    let file = folder.appendingPathComponent("inference_instructions.txt")
    do {
      try Data(instructions.utf8).write(to: file, options: .atomic)
    } catch {
      throw EvaluationError.cannotChange(path: file.path, problem: "the file can't be written")
    }
  }
}

/// The commands that predict with the best model or ensemble, as nnU-Net prints them.
///
/// nnU-Net: `print_inference_instructions`; unlike there, the first stage of a cascade gets its command too.
private struct InferenceInstructions {
  let text: String

  init(_ search: BestConfiguration, best: BestConfiguration.Candidate) throws {
    let isEnsemble = best.members.count > 1
    let count = ProcessInfo.processInfo.environment["nnUNet_def_n_proc"].flatMap(Int.init) ?? 8
    var lines = ["***Run inference like this:***", ""]
    if isEnsemble {
      lines += [
        "An ensemble won! What a surprise! Run the following commands to run predictions with the ensemble members:",
        "",
      ]
    }
    var outputs: [String] = []
    for (index, member) in best.members.enumerated() {
      let output = isEnsemble ? "OUTPUT_FOLDER_MODEL_\(index + 1)" : "OUTPUT_FOLDER"
      outputs.append(output)
      let plans = try Plans(contentsOf: search.folder(of: member).appendingPathComponent("plans.json"))
      if let stage = try plans.configuration(named: member.configuration).previousStage {
        let first = ModelIdentifier(trainer: member.trainer, plans: member.plans, configuration: stage)
        lines.append(Self.command(search, first, output: output + "_PREV_STAGE"))
        lines.append(
          Self.command(search, member, output: output) + " -prev_stage_predictions \(output)_PREV_STAGE"
            + (isEnsemble ? " --save_probabilities" : ""))
      } else {
        lines.append(Self.command(search, member, output: output) + (isEnsemble ? " --save_probabilities" : ""))
      }
    }
    if isEnsemble {
      lines += [
        "", "The run ensembling with:", "",
        "nnUNetv2_ensemble -i \(outputs.joined(separator: " ")) -o OUTPUT_FOLDER -np \(count)",
      ]
    }
    lines += [
      "", "***Once inference is completed, run postprocessing like this:***", "",
      "nnUNetv2_apply_postprocessing -i OUTPUT_FOLDER -o OUTPUT_FOLDER_PP "
        + "-pp_pkl_file \(best.folder.appendingPathComponent("postprocessing.pkl").path) -np \(count) "
        + "-plans_json \(best.folder.appendingPathComponent("plans.json").path)",
    ]
    text = lines.joined(separator: "\n") + "\n"
  }

  private static func command(_ search: BestConfiguration, _ model: ModelIdentifier, output: String) -> String {
    "nnUNetv2_predict -d \(search.dataset) -i INPUT_FOLDER -o \(output) -f  "
      + search.folds.map(\.description).joined(separator: " ")
      + " -tr \(model.trainer) -c \(model.configuration) -p \(model.plans)"
  }
}
