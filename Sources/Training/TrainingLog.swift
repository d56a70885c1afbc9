import Foundation
import Logging
import Synchronization

/// The log of a run: `training_log_*.txt` in the fold's folder, and the console.
///
/// On a terminal the line of the iteration under way is redrawn in place; in a file or pipe only whole lines appear.
public final class TrainingLog: Sendable {
  private let file: FileHandle?
  /// Whole lines are written one at a time.
  private let writing = Mutex(())
  /// The line of the iteration under way, where standard output is a terminal.
  private let line: LiveLine?
  private let isSilent: Bool

  /// - Parameters:
  ///   - folder: where the log file is made, named after the time as nnU-Net does; `nil` for no file.
  ///   - silent: nothing on the console.
  public init(folder: URL?, silent: Bool = false) throws {
    isSilent = silent
    line = isatty(STDOUT_FILENO) == 1 && !silent ? LiveLine(to: .standardOutput) : nil
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
    writing.withLock { _ in
      let text = timestamped ? "\(Self.timestamp()): \(text)" : text
      // A full disk must not end a training: the console still has the line.
      try? file?.write(contentsOf: Data((text + "\n").utf8))
      guard onConsole, !isSilent else { return }
      line?.clear()
      FileHandle.standardOutput.write(Data((text + "\n").utf8))
    }
  }

  /// The line of what is under way, which counts the seconds while nothing new comes; off a terminal it is dropped.
  func progress(_ text: @autoclosure () -> String) { line?.show(text()) }

  /// Puts what others log into this log.
  var logger: Logger { Logger(label: "nnunet.training") { _ in TrainingLogHandler(destination: self) } }

  private static func timestamp() -> String {
    let now = Calendar(identifier: .gregorian).dateComponents(
      [.year, .month, .day, .hour, .minute, .second, .nanosecond], from: Date())
    return String(
      format: "%04d-%02d-%02d %02d:%02d:%02d.%06d", now.year ?? 0, now.month ?? 0, now.day ?? 0, now.hour ?? 0,
      now.minute ?? 0, now.second ?? 0, (now.nanosecond ?? 0) / 1000)
  }
}

private struct TrainingLogHandler: LogHandler {
  let destination: TrainingLog
  var logLevel = Logger.Level.info
  var metadata: Logger.Metadata = [:]

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    destination.write(event.level >= .warning ? "WARNING: \(event.message)" : "\(event.message)")
  }
}
