import Datasets
import Foundation
import Synchronization
import TensorCore
import Volumes

/// Preprocesses many cases into a folder: several at once within a bound on memory; one bad case never stops the others.
public struct PreprocessingRun: Sendable {
  public enum Outcome: Sendable, Hashable {
    case done
    /// The folder had the case already, made from the same files with the same settings.
    case kept
    case failed(reason: String)
  }

  /// What preprocessing did to a case: shapes `[Z, Y, X]` after `transpose_forward`.
  public struct Work: Sendable, Hashable {
    public let shape: [Int]
    public let croppedShape: [Int]
    public let resampledShape: [Int]
    public let seconds: Double
  }

  /// What is known after one more case is finished.
  public struct Progress: Sendable {
    public let identifier: String
    public let outcome: Outcome
    /// What was done; `nil` unless the outcome is `done`.
    public let work: Work?
    /// Cases finished so far, this one among them.
    public let finished: Int
    public let total: Int
  }

  public let preprocessor: Preprocessor
  /// Where the cases' files go; made if it is missing.
  public let folder: URL
  /// Whether cases that are there already are made again.
  public var overwrites: Bool
  /// How many cases are worked on at once.
  public var concurrency: Int
  /// Bytes that all cases in work may take, by estimate; a single larger case is worked on alone. `nil` for
  /// `nnUNet_memory_limit`, where larger cases are refused, else nine tenths of what is available when the run starts.
  public var memoryLimit: Int?

  /// - Parameter concurrency: by default one case a thread.
  public init(
    preprocessor: Preprocessor, folder: URL, overwrites: Bool = false, concurrency: Int? = nil,
    memoryLimit: Int? = nil
  ) {
    self.preprocessor = preprocessor
    self.folder = folder
    self.overwrites = overwrites
    self.concurrency = max(1, concurrency ?? WorkerPool.shared.threadCount)
    self.memoryLimit = memoryLimit
  }

  /// Works through the cases. A case that fails leaves no older result behind, unless that one is up to date.
  /// - Parameter progress: is called after each case, from one thread at a time.
  /// - Returns: the outcomes, in the order of `cases`.
  /// - Throws: only if the folder cannot be made, or `nnUNet_memory_limit` is no number.
  public func run(
    _ cases: [DatasetCase], progress: @Sendable (Progress) -> Void = { _ in }
  ) throws -> [Outcome] {
    try run(cases, gate: MemoryGate(configured: memoryLimit), progress: progress)
  }

  package func run(
    _ cases: [DatasetCase], gate: MemoryGate, progress: @Sendable (Progress) -> Void
  ) throws -> [Outcome] {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let workers = min(concurrency, max(1, cases.count))
    // Many cases fill the threads by themselves; few leave some to the work inside of a case.
    let isCrowded = workers >= WorkerPool.shared.threadCount && cases.count >= 4 * workers
    let standard = EvaluationContext.standard
    let context = isCrowded ? EvaluationContext(pool: .serial, instructionSet: standard.instructionSet) : standard
    let results = Mutex<(outcomes: [Outcome?], finished: Int)>((Array(repeating: nil, count: cases.count), 0))
    WorkerPool(threads: workers).run(tasks: cases.count) { index in
      let item = cases[index]
      let (outcome, work) = run(item, gate, context)
      results.withLock { state in
        state.outcomes[index] = outcome
        state.finished += 1
        progress(
          Progress(
            identifier: item.identifier, outcome: outcome, work: work, finished: state.finished, total: cases.count))
      }
    }
    return results.withLock { $0.outcomes.map { $0 ?? .failed(reason: "not run") } }
  }

  private func run(_ item: DatasetCase, _ gate: MemoryGate, _ context: EvaluationContext) -> (Outcome, Work?) {
    var isUpToDate = false
    do {
      let signature = try preprocessor.signature(of: item)
      isUpToDate =
        CaseStore.signature(of: item.identifier, in: folder) == signature
        && CaseStore.isComplete(item.identifier, in: folder)
      if isUpToDate && !overwrites { return (.kept, nil) }
      let work = try gate.run(bytes: preprocessor.estimatedMemory(of: item)) {
        let start = ContinuousClock.now
        let result = try preprocessor.run(images: item.images, segmentation: item.label, context: context)
        try CaseStore.write(result, identifier: item.identifier, to: folder, signature: signature)
        return Work(
          shape: result.properties.shapeBeforeCropping,
          croppedShape: result.properties.shapeAfterCroppingAndBeforeResampling,
          resampledShape: result.data.spatialShape, seconds: (ContinuousClock.now - start) / .seconds(1))
      }
      return (.done, work)
    } catch {
      // Training must not learn from what was made of other files or settings.
      if !isUpToDate { try? FileManager.default.removeItem(at: CaseStore.file(item.identifier, in: folder)) }
      return (.failed(reason: "\(error)"), nil)
    }
  }
}

extension Preprocessor {
  /// Everything a preprocessed case depends on, as text: equal texts mean equal results.
  package func signature(of item: DatasetCase) throws -> String {
    func function(_ function: ResamplingFunction) -> JSONValue {
      ["name": .string(function.name), "kwargs": .object(function.keywordArguments)]
    }
    let files = try (item.images + (item.label.map { [$0] } ?? [])).map { file -> JSONValue in
      guard let values = try? FileManager.default.attributesOfItem(atPath: file.path) else {
        throw DatasetError(
          .notFound, file: file.path, problem: "there is no such file",
          advice: file.path.contains("$")
            ? "Set the environment variable that it names" : "Add it, or take the case out of the data set")
      }
      let size = (values[.size] as? NSNumber)?.intValue ?? -1
      let date = (values[.modificationDate] as? Date)?.timeIntervalSince1970 ?? 0
      return [.string(file.path), .integer(size), .number(date)]
    }
    let intensities = configuration.normalizationSchemes.indices.map { channel -> JSONValue in
      guard configuration.normalizationSchemes[channel] == Normalization.ct.rawValue,
        let properties = plans.foregroundIntensityProperties[channel]
      else { return nil }
      return JSONValue([properties.mean, properties.std, properties.percentile_00_5, properties.percentile_99_5])
    }
    let value: JSONValue = [
      "format": 1,
      "reader": .string(plans.imageReaderWriter),
      "transpose_forward": JSONValue(plans.transposeForward),
      "spacing": JSONValue(configuration.spacing),
      "normalization_schemes": JSONValue(configuration.normalizationSchemes),
      "use_mask_for_norm": JSONValue(configuration.useMaskForNorm),
      "intensities": .array(intensities),
      "resampling_fn_data": function(configuration.resamplingFnData),
      "resampling_fn_seg": function(configuration.resamplingFnSeg),
      "labels": JSONValue(sampledClasses.map(\.labels)),
      "files": .array(files),
    ]
    return value.text(indent: nil)
  }

  /// About how many bytes the preprocessing of a case takes, from the header of its first file.
  package func estimatedMemory(of item: DatasetCase) throws -> Int {
    guard let first = item.images.first else { throw ImageError.noFiles }
    let (shape, properties) = try readerWriter.readProperties(first)
    let order = plans.transposeForward
    guard properties.spacing.count == 3, shape.count == 4 else { return 0 }
    let spacing = order.map { properties.spacing[$0] }
    let target = configuration.spacing.count < 3 ? [spacing[0]] + configuration.spacing : configuration.spacing
    let newShape = Resampling.newShape(of: order.map { shape[$0 + 1] }, spacing: spacing, newSpacing: target)
    let channels = max(normalizationCount, 1)
    let (before, after) = (Double(shape[1...].reduce(1, *)), newShape.reduce(1.0) { $0 * Double($1) })
    // Bytes a voxel. Before: the image, twice while it is stacked, transposed or cropped; labels and the nonzero mask.
    // Then the image, labels and mask, the result, and one channel between two axes.
    let reading = before * (8 * Double(channels) + 3)
    let resampling = before * (4 * Double(channels) + 3) + after * (4 * Double(channels) + 4)
    // Blocks that the allocator keeps; measured: 1.77 GB for one channel of 400 x 512 x 512 voxels, against 1.92 GB here.
    return Int(1.25 * max(reading, resampling))
  }
}
