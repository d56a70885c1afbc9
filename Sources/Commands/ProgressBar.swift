import ArgumentParser
import Foundation
import Synchronization
import Training

/// A line with the share done, the rate and the time left: redrawn on a terminal, where it counts the seconds of long
/// steps too; every tenth of the work elsewhere.
final class ProgressBar: Sendable {
  private struct State: Sendable {
    var lastTenth = 0
    var hasCount = false
  }

  private let title: String
  private let isShown: Bool
  private let line: LiveLine?
  private let start = Date()
  private let state = Mutex(State())

  init(title: String, isShown: Bool = true) {
    self.title = title
    self.isShown = isShown
    line = isShown && isatty(STDERR_FILENO) == 1 ? LiveLine(to: .standardError) : nil
    line?.show(title)
  }

  func update(_ done: Int, of all: Int) {
    guard isShown, all > 0 else { return }
    state.withLock { state in
      let elapsed = Date().timeIntervalSince(start)
      let left = done > 0 ? elapsed / Double(done) * Double(all - done) : 0
      let text = String(
        format: "%@ %3d%% %d/%d  %.2f/s  %d:%02d left", title, done * 100 / all, done, all,
        elapsed > 0 ? Double(done) / elapsed : 0, Int(left) / 60, Int(left) % 60)
      state.hasCount = true
      if let line {
        line.show(text)
      } else if done * 10 / all > state.lastTenth {
        state.lastTenth = done * 10 / all
        printError(text)
      }
    }
  }

  /// A line of its own on standard error, above the bar.
  func note(_ text: String) { makingRoom { printError(text) } }

  /// Takes the bar away while `body` writes whole lines.
  func makingRoom(_ body: () -> Void) {
    if let line { line.makingRoom(body) } else { body() }
  }

  /// Ends the bar, which stays to be read if it counted anything.
  func finish() {
    state.withLock { state in
      if state.hasCount { line?.finish() } else { line?.clear() }
    }
  }
}
