import Datasets
import Foundation
import Preprocessing
import Synchronization
import TensorCore
import Volumes

/// Takes cases through the stages of a run, one after the other or overlapped.
struct CasePipeline: Sendable {
  let run: PredictionRun
  /// The cases with their places in the report.
  let cases: [(index: Int, item: CaseFiles)]
  let outcomes: OutcomeCollector
  let progress: any PredictionProgress
  let cancellation: Cancellation?
  /// What the cases on their way may hold together.
  let gate: MemoryGate

  /// A case on its way, with what the last stage made of it.
  private struct Stage<Content: Sendable>: Sendable {
    let index: Int
    let item: CaseFiles
    var seconds: StageSeconds
    /// Goes back when the case leaves the pipeline, however it does.
    let memory: MemoryReservation
    let content: Content
  }

  private var route: LogitsRoute { run.settings.savesProbabilities ? .probabilityFile : .labels }

  /// One case after the other, in the calling thread.
  func runInOrder() {
    for entry in cases {
      guard let prepared = prepare(entry), let predicted = predict(prepared) else { continue }
      finish(predicted)
    }
  }

  /// Preprocessing and export run beside the network, which has the calling thread. At most one case waits before and
  /// one behind the network, so that memory holds `preprocessingThreads + exportThreads + 3` cases at most.
  func runOverlapped(preprocessingThreads: Int, exportThreads: Int) {
    let prepared = BoundedQueue<Stage<PreprocessedCase>>(capacity: 1)
    let predicted = BoundedQueue<Stage<PredictedCase>>(capacity: 1)
    let source = CaseSource(count: cases.count, threads: min(preprocessingThreads, max(1, cases.count)))
    for _ in 0..<source.threads {
      startThread {
        while let next = source.next() {
          if let stage = prepare(cases[next]) { prepared.push(stage) }
        }
        if source.leave() { prepared.close() }
      }
    }
    let exporting = DispatchGroup()
    for _ in 0..<min(exportThreads, max(1, cases.count)) {
      exporting.enter()
      startThread {
        while let stage = predicted.pop() { finish(stage) }
        exporting.leave()
      }
    }
    while let stage = prepared.pop() {
      if let next = predict(stage) { predicted.push(next) }
    }
    predicted.close()
    exporting.wait()
  }

  private func startThread(_ body: @escaping @Sendable () -> Void) {
    let thread = Thread(block: body)
    // As much as a main thread has.
    thread.stackSize = 8 << 20
    thread.start()
  }

  // MARK: Stages

  private func prepare(_ entry: (index: Int, item: CaseFiles)) -> Stage<PreprocessedCase>? {
    attempt(entry.index, entry.item, StageSeconds()) { seconds in
      let need = try seconds.measure(.reading) {
        let need = try run.predictor.memory(of: entry.item, route)
        try checkFits(need.preprocessing)
        return need
      }
      // Cropping may make the image smaller: whether the network has room is decided when that is known.
      let beside = min(need.besideTheNetwork(isPreprocessed: false), gate.limit)
      let memory = gate.enter(beside, exclusive: min(need.inTheNetwork(beside: beside), gate.limit - beside))
      try cancellation?.check()
      let image = try seconds.measure(.reading) { try run.predictor.read(entry.item) }
      let prepared = try seconds.measure(.preprocessing) { try run.predictor.preprocess(image) }
      return (memory, prepared)
    }
  }

  private func predict(_ stage: Stage<PreprocessedCase>) -> Stage<PredictedCase>? {
    let identifier = stage.item.identifier
    return attempt(stage.index, stage.item, stage.seconds) { seconds in
      progress.report(.networkStarted(case: identifier, shape: stage.content.data.shape))
      let predicted = try seconds.measure(.network) {
        let need = try run.predictor.memory(of: stage.content, route)
        try checkFits(need.afterPreprocessing)
        let beside = need.besideTheNetwork(isPreprocessed: true)
        stage.memory.shrink(to: beside, exclusive: need.inTheNetwork(beside: beside))
        let start = ContinuousClock.now
        let predicted = try run.predictor.stage.run(
          on: stage.content, route, temporaryFolder: run.settings.outputFolder, cancellation: cancellation
        ) { tiles in
          let elapsed = (ContinuousClock.now - start) / .seconds(1)
          let rate = tiles.fraction * Double(tiles.tileCount) / max(elapsed, 1e-9)
          let left = elapsed * (1 - tiles.fraction) / max(tiles.fraction, 1e-9)
          progress.report(
            .tiles(case: identifier, progress: tiles, tilesPerSecond: rate, secondsLeft: left))
        }
        stage.memory.shrink(to: need.export.bytes, exclusive: 0)
        return predicted
      }
      return (stage.memory, predicted)
    }
  }

  private func finish(_ stage: Stage<PredictedCase>) {
    let identifier = stage.item.identifier
    let written: Stage<Void>? = attempt(stage.index, stage.item, stage.seconds) { seconds in
      let files = run.resultFiles(identifier)
      let properties = stage.content.properties
      let segmentation: VoxelGrid<Int16>
      if run.settings.savesProbabilities {
        segmentation = try seconds.measure(
          .writing,
          interruptedBy: { seconds in
            try writeProbabilities(of: stage.content, to: files.probabilities, &seconds)
          })
        try seconds.measure(.writing) { try PredictionFiles.write(properties: properties, to: files.properties) }
      } else {
        segmentation = try seconds.measure(.export) { try run.predictor.stage.export(stage.content) }
      }
      try seconds.measure(.writing) {
        try run.predictor.readerWriter.writeSegmentation(
          segmentation, to: files.segmentation, properties: properties.image)
      }
      return (stage.memory, ())
    }
    if let written { outcomes.note(stage.index, identifier, .done, written.seconds) }
  }

  /// Makes and writes the probabilities of one class after the other.
  private func writeProbabilities(
    of predicted: PredictedCase, to file: URL, _ seconds: inout StageSeconds
  ) throws -> VoxelGrid<Int16> {
    let shape = run.predictor.stage.exporter.probabilityShape(predicted.properties)
    return try PredictionFiles.writeProbabilities(shape: shape, to: file) { append in
      try seconds.measure(
        .export,
        interruptedBy: { seconds in
          try run.predictor.stage.export(predicted, wantsProbabilities: true) { probabilities in
            try cancellation?.check()
            try seconds.measure(.writing) { try append(probabilities.elements) }
          }
        })
    }
  }

  private func checkFits(_ estimate: MemoryEstimate) throws {
    guard estimate.bytes > gate.limit else { return }
    throw InferenceError.notEnoughMemory(needed: estimate.bytes, limit: gate.limit, parts: estimate.description)
  }

  /// Runs a stage; what goes wrong is noted and ends this case alone.
  private func attempt<Content: Sendable>(
    _ index: Int, _ item: CaseFiles, _ seconds: StageSeconds,
    _ body: (inout StageSeconds) throws -> (MemoryReservation, Content)
  ) -> Stage<Content>? {
    var seconds = seconds
    do {
      try cancellation?.check()
      let (memory, content) = try body(&seconds)
      return Stage(index: index, item: item, seconds: seconds, memory: memory, content: content)
    } catch let failure as StageFailure {
      outcomes.note(index, item.identifier, .failed(stage: failure.stage, reason: failure.reason), seconds)
    } catch {
      // Stages turn every other error into a failure.
      outcomes.note(index, item.identifier, .cancelled, seconds)
    }
    return nil
  }
}

/// Deals cases out to threads, and knows when the last of them leaves.
private final class CaseSource: Sendable {
  let threads: Int
  private let count: Int
  private let position = Atomic<Int>(0)
  private let left = Atomic<Int>(0)

  init(count: Int, threads: Int) {
    self.count = count
    self.threads = threads
  }

  func next() -> Int? {
    let next = position.add(1, ordering: .relaxed).oldValue
    return next < count ? next : nil
  }

  /// Whether the caller is the last thread.
  func leave() -> Bool { left.add(1, ordering: .acquiringAndReleasing).newValue == threads }
}
