import Datasets
import Foundation
import Synchronization
import TensorCore
import Volumes

/// Compares a folder of predicted segmentations with a folder of references, file by file.
///
/// nnU-Net: `nnunetv2/evaluation/evaluate_predictions.py`.
public struct FolderEvaluation: Sendable {
  public var referenceFolder: URL
  public var predictionFolder: URL
  public var targets: [LabelOrRegion]
  /// Voxels with this label in the reference count nowhere.
  public var ignoreLabel: Int?
  /// Only files with this ending are compared, such as `.nii.gz`.
  public var fileEnding: String
  public var readerWriter: any ImageReaderWriter
  /// Whether references without a prediction are left out instead of being an error.
  public var allowsMissingPredictions: Bool

  public init(
    referenceFolder: URL, predictionFolder: URL, targets: [LabelOrRegion], ignoreLabel: Int?, fileEnding: String,
    readerWriter: any ImageReaderWriter, allowsMissingPredictions: Bool
  ) {
    self.referenceFolder = referenceFolder
    self.predictionFolder = predictionFolder
    self.targets = targets
    self.ignoreLabel = ignoreLabel
    self.fileEnding = fileEnding
    self.readerWriter = readerWriter
    self.allowsMissingPredictions = allowsMissingPredictions
  }

  /// What `nnUNetv2_evaluate_folder` compares: the labels or regions of `dataset.json`.
  public init(
    datasetDescription description: DatasetDescription, referenceFolder: URL, predictionFolder: URL,
    allowsMissingPredictions: Bool
  ) throws {
    self.init(
      referenceFolder: referenceFolder, predictionFolder: predictionFolder,
      targets: try LabelOrRegion.foreground(of: description), ignoreLabel: try LabelManager(description).ignoreLabel,
      fileEnding: description.fileEnding,
      readerWriter: try ReaderWriters.choose(
        fileEnding: description.fileEnding, overwriteName: description.readerWriterName,
        exampleFile: try? fileNames(in: referenceFolder, ending: description.fileEnding).first
          .map(referenceFolder.appendingPathComponent)),
      allowsMissingPredictions: allowsMissingPredictions)
  }

  /// What `nnUNetv2_evaluate_simple` compares: given labels, and a file ending found in the reference folder.
  public init(
    simple labels: [Int], referenceFolder: URL, predictionFolder: URL, ignoreLabel: Int?,
    allowsMissingPredictions: Bool
  ) throws {
    guard let example = try fileNames(in: referenceFolder, ending: "").first else {
      throw EvaluationError.noFiles(folder: referenceFolder.path, ending: "")
    }
    let fileEnding = ending(ofFile: example)
    self.init(
      referenceFolder: referenceFolder, predictionFolder: predictionFolder, targets: labels.map { .label($0) },
      ignoreLabel: ignoreLabel, fileEnding: fileEnding,
      readerWriter: try ReaderWriters.choose(
        fileEnding: fileEnding, overwriteName: nil, exampleFile: referenceFolder.appendingPathComponent(example)),
      allowsMissingPredictions: allowsMissingPredictions)
  }

  /// The outcome: the summary of all cases that could be compared, and the others with their reasons.
  public struct Result: Sendable {
    public let summary: EvaluationSummary
    public let failures: [CaseFailure]
  }

  /// Compares all files, several at a time; a file that can't be compared doesn't keep the others from it.
  /// - Parameters:
  ///   - threads: how many cases at a time; `nil` takes as many as the process has threads.
  ///   - caseDone: called after every case from any thread, with the numbers of done and of all cases.
  /// - Throws: ``EvaluationError`` if folders or files are missing, or if not a single case could be compared.
  public func run(threads: Int?, caseDone: @Sendable (Int, Int) -> Void) throws -> Result {
    try run(threads: threads, transform: { $0 }, caseDone: caseDone)
  }

  /// Compares what `transform` makes of each prediction.
  func run(
    threads: Int?, transform: @Sendable (VoxelGrid<Int16>) -> VoxelGrid<Int16>, caseDone: @Sendable (Int, Int) -> Void
  ) throws -> Result {
    guard !targets.isEmpty else { throw EvaluationError.noLabels }
    let predictions = try fileNames(in: predictionFolder, ending: fileEnding)
    let references = try fileNames(in: referenceFolder, ending: fileEnding)
    if !allowsMissingPredictions {
      let there = Set(predictions)
      let missing = references.filter { !there.contains($0) }
      guard missing.isEmpty else {
        throw EvaluationError.predictionsMissing(folder: predictionFolder.path, files: missing)
      }
    }
    guard !predictions.isEmpty else {
      throw EvaluationError.noFiles(folder: predictionFolder.path, ending: fileEnding)
    }
    let outcomes = inParallel(predictions, threads: threads, done: caseDone) { name in
      try evaluate(name, transform)
    }
    var cases: [EvaluationSummary.Case] = []
    var failures: [CaseFailure] = []
    for (name, outcome) in zip(predictions, outcomes) {
      switch outcome {
      case .success(let evaluated): cases.append(evaluated)
      case .failure(let error): failures.append(CaseFailure(identifier: name, reason: "\(error)"))
      }
    }
    guard !cases.isEmpty else { throw EvaluationError.allCasesFailed(failures) }
    return Result(summary: EvaluationSummary(targets: targets, cases: cases), failures: failures)
  }

  private func evaluate(
    _ name: String, _ transform: (VoxelGrid<Int16>) -> VoxelGrid<Int16>
  ) throws -> EvaluationSummary.Case {
    let referenceFile = referenceFolder.appendingPathComponent(name, isDirectory: false)
    let predictionFile = predictionFolder.appendingPathComponent(name, isDirectory: false)
    guard FileManager.default.fileExists(atPath: referenceFile.path) else {
      throw EvaluationError.referenceMissing(prediction: predictionFile.path, reference: referenceFile.path)
    }
    let (reference, _) = try readerWriter.readSegmentation(referenceFile)
    let (prediction, _) = try readerWriter.readSegmentation(predictionFile)
    guard reference.shape == prediction.shape else {
      throw EvaluationError.shapesDiffer(
        reference: referenceFile.path, referenceShape: reference.shape, prediction: predictionFile.path,
        predictionShape: prediction.shape)
    }
    return EvaluationSummary.Case(
      predictionFile: predictionFolder.relativePath + "/" + name,
      referenceFile: referenceFolder.relativePath + "/" + name,
      counts: ConfusionCounts.counting(
        reference: reference, prediction: transform(prediction), of: targets, ignoreLabel: ignoreLabel))
  }
}

/// The files of a folder with an ending, sorted by code point as Python sorts them; hidden files are left out.
func fileNames(in folder: URL, ending: String) throws -> [String] {
  try DatasetCase.fileNames(in: folder).filter { $0.hasSuffix(ending) && !$0.hasPrefix(".") }
}

/// `.nii.gz`, or what stands behind the last point.
func ending(ofFile name: String) -> String {
  if name.lowercased().hasSuffix(".nii.gz") { return String(name.suffix(7)) }
  guard let point = name.lastIndex(of: ".") else { return "" }
  return String(name[point...])
}

/// Applies `body` to every element, several at a time, and keeps what each gave or threw, in order.
func inParallel<Element: Sendable, Value: Sendable>(
  _ elements: [Element], threads: Int?, done: @Sendable (Int, Int) -> Void,
  _ body: @Sendable (Element) throws -> Value
) -> [Result<Value, any Error>] {
  let outcomes = Mutex<[Int: Result<Value, any Error>]>([:])
  let pool = threads.map { WorkerPool(threads: min($0, elements.count)) } ?? .shared
  pool.run(tasks: elements.count) { index in
    let outcome = Result { try body(elements[index]) }
    let count = outcomes.withLock { outcomes in
      outcomes[index] = outcome
      return outcomes.count
    }
    done(count, elements.count)
  }
  let finished = outcomes.withLock { $0 }
  return elements.indices.compactMap { finished[$0] }
}
