import Datasets
import Foundation
import TensorCore
import Volumes

/// Finds out which postprocessing steps improve predictions, by comparing with references.
///
/// First all foreground labels together: kept if the mean foreground Dice rises and no class loses. Then each label or
/// region by itself, on top of what was accepted: kept if its own Dice rises. A comparison with NaN rejects.
///
/// nnU-Net: `determine_postprocessing` of `nnunetv2/postprocessing/remove_connected_components.py`, which writes every
/// trial to disk; here only the accepted steps are written.
public struct PostprocessingSearch: Sendable {
  public var evaluation: FolderEvaluation
  public var labels: LabelManager

  /// - Parameter description: of the data set; its labels or regions are what is tried and compared.
  public init(
    predictionFolder: URL, referenceFolder: URL, description: DatasetDescription, readerWriter: any ImageReaderWriter
  ) throws {
    labels = try LabelManager(description)
    evaluation = FolderEvaluation(
      referenceFolder: referenceFolder, predictionFolder: predictionFolder,
      targets: try LabelOrRegion.foreground(of: description), ignoreLabel: labels.ignoreLabel,
      fileEnding: description.fileEnding, readerWriter: readerWriter, allowsMissingPredictions: true)
  }

  /// A step that was tried.
  public struct Trial: Sendable {
    public let step: Postprocessing.Step
    /// The Dice that decided: the foreground mean, or that of the label or region.
    public let diceBefore: Double
    public let diceAfter: Double
    public let isAccepted: Bool
  }

  public struct Result: Sendable {
    public let postprocessing: Postprocessing
    public let before: EvaluationSummary
    public let after: EvaluationSummary
    public let trials: [Trial]
  }

  /// Tries all steps.
  /// - Throws: ``EvaluationError`` if a case can't be read: a choice made on some of the cases would be none.
  public func run(threads: Int?, trialDone: (Trial) -> Void) throws -> Result {
    var trials: [Trial] = []
    func note(_ trial: Trial) {
      trials.append(trial)
      trialDone(trial)
    }
    func summary(_ steps: [Postprocessing.Step]) throws -> EvaluationSummary {
      let result = try evaluation.run(
        threads: threads, transform: { Postprocessing(steps: steps).applied(to: $0) }, caseDone: { _, _ in })
      guard result.failures.isEmpty else { throw EvaluationError.someCasesFailed(result.failures) }
      return result.summary
    }
    let before = try summary([])
    var steps: [Postprocessing.Step] = []
    var current = before

    let whole = Postprocessing.Step.keepLargestForeground(labels.foregroundLabels)
    let trial = try summary([whole])
    let isBetter =
      trial.foregroundMean.dice > before.foregroundMean.dice
      && !evaluation.targets.contains { dice($0, in: trial) < dice($0, in: before) }
    note(
      Trial(
        step: whole, diceBefore: before.foregroundMean.dice, diceAfter: trial.foregroundMean.dice,
        isAccepted: isBetter))
    if isBetter { (steps, current) = ([whole], trial) }

    if evaluation.targets.count > 1 {
      for target in evaluation.targets {
        let trial = try summary(steps + [.keepLargest(target)])
        let (old, new) = (dice(target, in: current), dice(target, in: trial))
        note(Trial(step: .keepLargest(target), diceBefore: old, diceAfter: new, isAccepted: new > old))
        if new > old { (steps, current) = (steps + [.keepLargest(target)], trial) }
      }
    }
    return Result(postprocessing: Postprocessing(steps: steps), before: before, after: current, trials: trials)
  }

  private func dice(_ target: LabelOrRegion, in summary: EvaluationSummary) -> Double {
    summary.mean[target]?.dice ?? .nan
  }

  /// Tries all steps, and writes `postprocessing.json`, `postprocessing.pkl` and, if there is none, `summary.json` into
  /// the folder of predictions; with `keepsFiles` also the postprocessed segmentations and their `summary.json` into
  /// its folder `postprocessed`.
  public func runAndWrite(threads: Int?, keepsFiles: Bool, trialDone: (Trial) -> Void) throws -> Result {
    let folder = evaluation.predictionFolder
    let result = try run(threads: threads, trialDone: trialDone)
    let summaryFile = folder.appendingPathComponent("summary.json")
    if !FileManager.default.fileExists(atPath: summaryFile.path) { try result.before.write(to: summaryFile) }
    if keepsFiles {
      let output = folder.appendingPathComponent("postprocessed")
      let failures = try result.postprocessing.apply(
        to: folder, writingTo: output, fileEnding: evaluation.fileEnding, readerWriter: evaluation.readerWriter,
        threads: threads, caseDone: { _, _ in })
      guard failures.isEmpty else { throw EvaluationError.someCasesFailed(failures) }
      try result.after.inFolder(folder.relativePath + "/postprocessed")
        .write(to: output.appendingPathComponent("summary.json"))
    }
    try result.postprocessing.writePickle(to: folder.appendingPathComponent("postprocessing.pkl"))
    var json: JSONValue.Object = [
      "input_folder": ["foreground_mean": result.before.foregroundMean.json, "mean": result.before.meanJSON],
      "postprocessed": ["foreground_mean": result.after.foregroundMean.json, "mean": result.after.meanJSON],
    ]
    json.merge(result.postprocessing.jsonEntries) { $1 }
    try JSONValue.object(json).write(to: folder.appendingPathComponent("postprocessing.json"), sortKeys: true)
    return result
  }
}

extension EvaluationSummary {
  /// The same values for predictions that were copied to another folder.
  func inFolder(_ folder: String) -> EvaluationSummary {
    let moved = cases.map { old in
      Case(
        predictionFile: folder + "/" + (old.predictionFile.split(separator: "/").last.map(String.init) ?? ""),
        referenceFile: old.referenceFile, counts: old.counts)
    }
    return EvaluationSummary(targets: targets, cases: moved, mean: mean, foregroundMean: foregroundMean)
  }
}
