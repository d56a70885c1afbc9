import Foundation
import Synchronization

/// A line on a terminal that is redrawn in place. While nothing new comes it counts the seconds, so that no long step is
/// silent.
public final class LiveLine: Sendable {
  private struct State: Sendable {
    var text: String?
    /// When the text came, and when the line was drawn.
    var shown = 0.0
    var drawn = -1.0
    var isTicking = false
  }

  private let output: FileHandle
  private let state = Mutex(State())

  /// Seconds between two drawings of new texts at least, and of the same text at most.
  private static var shortestInterval: Double { 0.1 }
  private static var longestInterval: Double { 1 }

  /// - Parameter output: a terminal.
  public init(to output: FileHandle) { self.output = output }

  /// Shows a text in place of the one before.
  public func show(_ text: String) {
    startTicking()
    show(text, at: Self.now)
  }

  package func show(_ text: String, at now: Double) {
    state.withLock { state in
      (state.text, state.shown) = (text, now)
      if now - state.drawn >= Self.shortestInterval { draw(text, at: now, &state) }
    }
  }

  /// Redraws a text that has been there for a while, with how long.
  package func tick(at now: Double) {
    state.withLock { state in
      guard let text = state.text, now - state.drawn >= Self.longestInterval else { return }
      let seconds = Int(now - state.shown)
      draw(seconds > 0 ? "\(text)  (\(seconds) s)" : text, at: now, &state)
    }
  }

  /// Takes the line away while `body` writes whole lines; it comes back by itself.
  public func makingRoom(_ body: () -> Void) {
    state.withLock { state in
      wipe(&state)
      body()
    }
  }

  /// Takes the line away.
  public func clear() {
    state.withLock { state in
      wipe(&state)
      state.text = nil
    }
  }

  /// Leaves the line where it is, as it was last shown.
  public func finish() {
    state.withLock { state in
      guard let text = state.text else { return }
      output.write(Data("\r\u{1B}[K\(text)\n".utf8))
      (state.text, state.drawn) = (nil, -1)
    }
  }

  private func draw(_ text: String, at now: Double, _ state: inout State) {
    output.write(Data("\r\u{1B}[K\(text)".utf8))
    state.drawn = now
  }

  private func wipe(_ state: inout State) {
    guard state.text != nil else { return }
    output.write(Data("\r\u{1B}[K".utf8))
    state.drawn = -1
  }

  private static var now: Double { ProcessInfo.processInfo.systemUptime }

  private func startTicking() {
    let isFirst = state.withLock { state in
      defer { state.isTicking = true }
      return !state.isTicking
    }
    guard isFirst else { return }
    let thread = Thread { [weak self] in
      while let line = self {
        line.tick(at: Self.now)
        Thread.sleep(forTimeInterval: Self.longestInterval / 2)
      }
    }
    thread.start()
  }
}
