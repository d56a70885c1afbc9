import Foundation
import Inference
import Synchronization

/// Shows a prediction on the console: a line per case, and a bar of the tiles in between.
final class PredictionDisplay: PredictionProgress {
  private let bar: Mutex<ProgressBar?>
  private let showsBar: Bool
  private let isVerbose: Bool

  init(showsBar: Bool, isVerbose: Bool) {
    self.showsBar = showsBar
    self.isVerbose = isVerbose
    bar = Mutex(nil)
  }

  func report(_ event: PredictionEvent) {
    switch event {
    case .runStarted(let cases, let skipped):
      print(
        "There are \(cases.count) cases to predict" + (skipped.isEmpty ? "" : ", \(skipped.count) are done already"))
      if !cases.isEmpty { replaceBar("reading and preprocessing") }
    case .networkCompiled(let summary): note(summary)
    case .networkStarted(let name, let shape):
      bar.withLock { $0 }?.finish()
      print("Predicting \(name), shape \(shape)")
      replaceBar(name)
    case .tiles(_, let progress, _, _):
      bar.withLock { $0 }?.update(progress.tilesDone, of: progress.tileCount)
    case .caseDone(let name, let seconds):
      note(isVerbose ? "done with \(name): \(Self.stages(seconds))" : "done with \(name)")
    case .caseFailed(let outcome):
      if case .failed(let stage, let reason) = outcome.status {
        FileHandle.standardError.write(Data("FAILED \(outcome.identifier) (\(stage.rawValue)): \(reason)\n".utf8))
      }
    case .runDone(let report):
      bar.withLock { $0 }?.finish()
      print(String(format: "%d cases in %.1f s", report.outcomes.count, report.seconds))
      if !report.failures.isEmpty {
        FileHandle.standardError.write(
          Data("\(report.failures.count) case(s) failed; the others are done. See prediction_report.json.\n".utf8))
      }
    }
  }

  private func replaceBar(_ title: String) {
    let new = ProgressBar(title: title, isShown: showsBar)
    bar.withLock { $0 = new }
  }

  private func note(_ text: String) {
    if let bar = bar.withLock({ $0 }) { bar.makingRoom { print(text) } } else { print(text) }
  }

  private static func stages(_ seconds: StageSeconds) -> String {
    PredictionStage.allCases.compactMap { stage in
      seconds.seconds[stage].map { String(format: "%@ %.2f s", stage.rawValue, $0) }
    }.joined(separator: ", ")
  }
}
