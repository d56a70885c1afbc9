import Datasets
import Foundation
import Preprocessing
import Synchronization
import TensorCore

/// Predicts all cases of a folder: reading, preprocessing, network, export and writing overlap on threads with bounded
/// queues between them.
///
/// A case that fails ends alone: its reason goes into the report, the others are done. Results appear whole or not at
/// all, and a case's segmentation last, so that ``Settings/overwrites`` `false` continues where a run stopped.
///
/// nnU-Net: `nnUNetPredictor.predict_from_files` of `nnunetv2/inference/predict_from_raw_data.py`.
public struct PredictionRun: Sendable {
  public struct Settings: Sendable {
    /// The folder with `CASE_0000.ending` files.
    public var inputFolder: URL
    public var outputFolder: URL
    /// Whether probabilities (`CASE.npz`) and properties (`CASE.pkl`) are written too, for ensembling.
    public var savesProbabilities: Bool
    /// Whether cases with results are predicted again.
    public var overwrites: Bool
    /// How many cases are read and preprocessed at a time; 0 for this and `exportThreads` does one case after the other.
    public var preprocessingThreads: Int
    /// How many cases are exported and written at a time.
    public var exportThreads: Int
    /// Segmentations of a cascade's first stage, `CASE.ending`.
    public var previousStageFolder: URL?
    /// Splits the list of cases: this run does cases `part`, `part + partCount`, ...
    public var partCount: Int
    public var part: Int
    /// Bytes that all cases on their way may need together, by estimate: a case waits until it fits beside those before
    /// it, and is refused if it can't fit alone. `nil` takes `nnUNet_memory_limit` (gigabytes), else nine tenths of what
    /// the system and the control group have available when the run starts.
    public var memoryLimit: Int?

    public init(
      inputFolder: URL, outputFolder: URL, savesProbabilities: Bool = false, overwrites: Bool = true,
      preprocessingThreads: Int = 3, exportThreads: Int = 3, previousStageFolder: URL? = nil, partCount: Int = 1,
      part: Int = 0, memoryLimit: Int? = nil
    ) {
      self.inputFolder = inputFolder
      self.outputFolder = outputFolder
      self.savesProbabilities = savesProbabilities
      self.overwrites = overwrites
      self.preprocessingThreads = preprocessingThreads
      self.exportThreads = exportThreads
      self.previousStageFolder = previousStageFolder
      self.partCount = partCount
      self.part = part
      self.memoryLimit = memoryLimit
    }

    /// Whether one case is done after the other.
    var isSequential: Bool { preprocessingThreads <= 0 && exportThreads <= 0 }
  }

  public let predictor: Predictor
  public let settings: Settings

  /// - Throws: ``InferenceError`` if the settings can't work: a part that doesn't exist, a cascade without the previous
  ///   stage.
  public init(predictor: Predictor, settings: Settings) throws {
    guard settings.partCount > 0, (0..<settings.partCount).contains(settings.part) else {
      throw InferenceError.badPart(part: settings.part, count: settings.partCount)
    }
    if let previous = predictor.model.configuration.previousStage {
      guard let folder = settings.previousStageFolder else {
        throw InferenceError.previousStageNeeded(
          configuration: predictor.model.configuration.name, previousStage: previous)
      }
      guard FileManager.default.fileExists(atPath: folder.path) else {
        throw InferenceError.previousStageMissing(file: folder.path)
      }
    }
    self.predictor = predictor
    self.settings = settings
  }

  /// Predicts everything and writes `prediction_report.json`.
  /// - Throws: only what concerns the whole run: folders that can't be read or written, no cases.
  public func run(progress: any PredictionProgress, cancellation: Cancellation? = nil) throws -> PredictionReport {
    let start = ContinuousClock.now
    let gate = try MemoryGate(configured: settings.memoryLimit)
    try writeDescriptions()
    let all = try listCases()
    let waiting = all.indices.filter { settings.overwrites || !hasResult(all[$0].identifier) }
    let skipped = Set(all.indices).subtracting(waiting)
    progress.report(
      .runStarted(cases: waiting.map { all[$0].identifier }, skipped: skipped.sorted().map { all[$0].identifier }))
    if !waiting.isEmpty, let report = predictor.stage.slidingWindow.compiled?.prepare() {
      progress.report(.networkCompiled(summary: "\(report)"))
    }
    let outcomes = OutcomeCollector(progress: progress)
    for index in skipped { outcomes.note(index, all[index].identifier, .skipped, StageSeconds()) }
    let pipeline = CasePipeline(
      run: self, cases: waiting.map { (index: $0, item: all[$0]) }, outcomes: outcomes, progress: progress,
      cancellation: cancellation, gate: gate)
    if settings.isSequential {
      pipeline.runInOrder()
    } else {
      pipeline.runOverlapped(
        preprocessingThreads: max(1, settings.preprocessingThreads), exportThreads: max(1, settings.exportThreads))
    }
    let report = PredictionReport(
      outcomes: all.indices.map { index in
        outcomes[index]
          ?? CaseOutcome(identifier: all[index].identifier, status: .cancelled, seconds: StageSeconds())
      }, seconds: (ContinuousClock.now - start) / .seconds(1), memoryLimit: gate.limit,
      largestReservation: gate.peak.bytes)
    try report.write(to: settings.outputFolder.appendingPathComponent("prediction_report.json"))
    progress.report(.runDone(report))
    return report
  }

  // MARK: Files

  /// The cases of this part in order; files that end right but have no channel number come as cases that will fail.
  private func listCases() throws -> [CaseFiles] {
    let ending = predictor.model.datasetDescription.fileEnding
    let named = try DatasetCase.list(in: settings.inputFolder, fileEnding: ending)
    guard !named.isEmpty else {
      throw InferenceError.noCases(folder: settings.inputFolder.path, ending: ending)
    }
    var cases = named.map { found in
      CaseFiles(
        identifier: found.identifier, images: found.images,
        channels: found.images.compactMap {
          DatasetCase.parseImageFileName($0.lastPathComponent, fileEnding: ending)?.channel
        },
        previousStage: settings.previousStageFolder?.appendingPathComponent(found.identifier + ending))
    }
    // Where the results go into the input folder, those of an earlier run are no cases.
    func resolved(_ folder: URL) -> String { folder.resolvingSymlinksInPath().standardizedFileURL.path }
    let writesIntoInput = resolved(settings.inputFolder) == resolved(settings.outputFolder)
    let results = Set(writesIntoInput ? named.map { $0.identifier + ending } : [])
    for name in try DatasetCase.unrecognizedFiles(in: settings.inputFolder, fileEnding: ending)
    where !name.hasPrefix(".") && !results.contains(name) {
      cases.append(
        CaseFiles(identifier: String(name.dropLast(ending.count)), images: [], channels: [], previousStage: nil))
    }
    return cases.enumerated().filter { $0.offset % settings.partCount == settings.part }.map(\.element)
  }

  private func hasResult(_ identifier: String) -> Bool {
    let files = resultFiles(identifier)
    let needed = settings.savesProbabilities ? [files.segmentation, files.probabilities] : [files.segmentation]
    return needed.allSatisfy { FileManager.default.fileExists(atPath: $0.path) }
  }

  func resultFiles(_ identifier: String) -> (segmentation: URL, probabilities: URL, properties: URL) {
    let folder = settings.outputFolder
    return (
      folder.appendingPathComponent(identifier + predictor.model.datasetDescription.fileEnding),
      folder.appendingPathComponent(identifier + ".npz"), folder.appendingPathComponent(identifier + ".pkl")
    )
  }

  /// What later steps want beside the results: `dataset.json`, `plans.json` and the arguments of this run.
  private func writeDescriptions() throws {
    let folder = settings.outputFolder
    try FileManager.default.makeFolder(folder)
    try predictor.model.datasetDescription.write(to: folder.appendingPathComponent("dataset.json"))
    try predictor.model.plans.write(to: folder.appendingPathComponent("plans.json"))
    var arguments: JSONValue.Object = [
      "list_of_lists_or_source_folder": .string(settings.inputFolder.relativePath),
      "output_folder_or_list_of_truncated_output_files": .string(folder.relativePath),
      "save_probabilities": .bool(settings.savesProbabilities),
      "overwrite": .bool(settings.overwrites),
      "folder_with_segs_from_prev_stage": settings.previousStageFolder.map { .string($0.relativePath) } ?? .null,
    ]
    if !settings.isSequential {
      arguments["num_processes_preprocessing"] = .integer(settings.preprocessingThreads)
      arguments["num_processes_segmentation_export"] = .integer(settings.exportThreads)
      arguments["num_parts"] = .integer(settings.partCount)
      arguments["part_id"] = .integer(settings.part)
    }
    try JSONValue.object(arguments).write(
      to: folder.appendingPathComponent("predict_from_raw_data_args.json"), sortKeys: true)
  }
}

/// The files of one case.
struct CaseFiles: Sendable {
  let identifier: String
  let images: [URL]
  /// The numbers in the images' names.
  let channels: [Int]
  let previousStage: URL?
}

/// Collects what became of the cases, from all threads.
final class OutcomeCollector: Sendable {
  private let outcomes = Mutex<[Int: CaseOutcome]>([:])
  private let progress: any PredictionProgress

  init(progress: any PredictionProgress) { self.progress = progress }

  subscript(index: Int) -> CaseOutcome? { outcomes.withLock { $0[index] } }

  func note(_ index: Int, _ identifier: String, _ status: CaseOutcome.Status, _ seconds: StageSeconds) {
    let outcome = CaseOutcome(identifier: identifier, status: status, seconds: seconds)
    outcomes.withLock { $0[index] = outcome }
    switch status {
    case .done: progress.report(.caseDone(case: identifier, seconds: seconds))
    case .failed: progress.report(.caseFailed(outcome))
    case .skipped, .cancelled: break
    }
  }
}
