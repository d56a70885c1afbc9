import Foundation
import Synchronization

/// The log of a run: `training_log_*.txt` in the fold's folder, and the console.
///
/// On a terminal the line of the iteration under way is redrawn in place; in a file or pipe only whole lines appear.
public final class TrainingLog: Sendable {
  private let file: FileHandle?
  private let state = Mutex(State())
  /// Whether standard output is a terminal.
  private let isTerminal: Bool
  private let isSilent: Bool

  private struct State: Sendable {
    var hasProgressLine = false
    var lastProgress = 0.0
  }

  /// - Parameters:
  ///   - folder: where the log file is made, named after the time as nnU-Net does; `nil` for no file.
  ///   - silent: nothing on the console.
  public init(folder: URL?, silent: Bool = false) throws {
    isTerminal = isatty(STDOUT_FILENO) == 1
    isSilent = silent
    guard let folder else {
      file = nil
      return
    }
    let now = Calendar(identifier: .gregorian).dateComponents(
      [.year, .month, .day, .hour, .minute, .second], from: Date())
    let name = String(
      format: "training_log_%d_%d_%d_%02d_%02d_%02d.txt", now.year ?? 0, now.month ?? 0, now.day ?? 0, now.hour ?? 0,
      now.minute ?? 0, now.second ?? 0)
    let url = folder.appendingPathComponent(name)
    _ = FileManager.default.createFile(atPath: url.path, contents: nil)
    guard let handle = FileHandle(forWritingAtPath: url.path) else {
      throw TrainingError.outputNotWritable(file: url, reason: "the log file can't be opened for writing")
    }
    file = handle
  }

  deinit { try? file?.close() }

  /// A line in the file, with the time, and on the console.
  public func write(_ text: String, timestamped: Bool = true, onConsole: Bool = true) {
    state.withLock { state in
      let line = timestamped ? "\(Self.timestamp()): \(text)" : text
      // A full disk must not end a training: the console still has the line.
      try? file?.write(contentsOf: Data((line + "\n").utf8))
      guard onConsole, !isSilent else { return }
      clearProgress(&state)
      FileHandle.standardOutput.write(Data((line + "\n").utf8))
    }
  }

  /// The line of the iteration under way, redrawn at most ten times a second; off a terminal it is dropped.
  func progress(_ text: @autoclosure () -> String) {
    guard isTerminal, !isSilent else { return }
    state.withLock { state in
      let now = Date().timeIntervalSince1970
      guard now - state.lastProgress > 0.1 else { return }
      state.lastProgress = now
      state.hasProgressLine = true
      FileHandle.standardOutput.write(Data("\r\u{1B}[K\(text())".utf8))
    }
  }

  private func clearProgress(_ state: inout State) {
    guard state.hasProgressLine else { return }
    state.hasProgressLine = false
    FileHandle.standardOutput.write(Data("\r\u{1B}[K".utf8))
  }

  private static func timestamp() -> String {
    let now = Calendar(identifier: .gregorian).dateComponents(
      [.year, .month, .day, .hour, .minute, .second, .nanosecond], from: Date())
    return String(
      format: "%04d-%02d-%02d %02d:%02d:%02d.%06d", now.year ?? 0, now.month ?? 0, now.day ?? 0, now.hour ?? 0,
      now.minute ?? 0, now.second ?? 0, (now.nanosecond ?? 0) / 1000)
  }
}
