import ArgumentParser
import Foundation
import Synchronization

/// A line with the share done, the rate and the time left: redrawn on a terminal, every tenth of the work elsewhere.
final class ProgressBar: Sendable {
  private struct State: Sendable {
    var lastDrawn = 0.0
    var lastTenth = 0
    var isOpen = false
  }

  private let title: String
  private let isShown: Bool
  private let isTerminal = isatty(STDERR_FILENO) == 1
  private let start = Date()
  private let state = Mutex(State())

  init(title: String, isShown: Bool = true) {
    self.title = title
    self.isShown = isShown
  }

  func update(_ done: Int, of all: Int) {
    guard isShown, all > 0 else { return }
    state.withLock { state in
      let elapsed = Date().timeIntervalSince(start)
      let left = done > 0 ? elapsed / Double(done) * Double(all - done) : 0
      let text = String(
        format: "%@ %3d%% %d/%d  %.2f/s  %d:%02d left", title, done * 100 / all, done, all,
        elapsed > 0 ? Double(done) / elapsed : 0, Int(left) / 60, Int(left) % 60)
      if isTerminal {
        guard elapsed - state.lastDrawn > 0.1 || done == all else { return }
        state.lastDrawn = elapsed
        state.isOpen = true
        FileHandle.standardError.write(Data("\r\u{1B}[K\(text)".utf8))
      } else if done * 10 / all > state.lastTenth {
        state.lastTenth = done * 10 / all
        printError(text)
      }
    }
  }

  /// A line of its own, above the bar.
  func note(_ text: String) {
    state.withLock { state in
      close(&state)
      printError(text)
    }
  }

  func finish() { state.withLock { close(&$0) } }

  private func close(_ state: inout State) {
    guard state.isOpen else { return }
    state.isOpen = false
    FileHandle.standardError.write(Data("\n".utf8))
  }
}
