import Foundation
import TensorCore

/// What memory there is for the work ahead.
package enum AvailableMemory {
  /// How many bytes this process may still take: what the system calls available, and what its control group allows.
  /// `nil` where the system does not say.
  package static func bytes() -> Int? {
    #if os(Linux)
      var available: Int?
      if let text = try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8),
        let line = text.split(separator: "\n").first(where: { $0.hasPrefix("MemAvailable:") }),
        let kilobytes = line.split(separator: " ").compactMap({ Int($0) }).first
      {
        available = kilobytes * 1024
      }
      func number(_ path: String) -> Int? {
        (try? String(contentsOfFile: path, encoding: .utf8)).flatMap {
          Int($0.trimmingCharacters(in: .whitespacesAndNewlines))
        }
      }
      if let limit = number("/sys/fs/cgroup/memory.max"), let used = number("/sys/fs/cgroup/memory.current") {
        available = min(available ?? .max, max(0, limit - used))
      }
      return available.map { $0 + StoragePool.shared.statistics.bytesIdle }
    #else
      return Int(ProcessInfo.processInfo.physicalMemory)
    #endif
  }

  /// Bytes as gigabytes (10^9) or megabytes.
  package static func text(_ bytes: Int) -> String {
    bytes >= 1_000_000_000
      ? String(format: "%.1f GB", Double(bytes) / 1e9) : String(format: "%.0f MB", Double(bytes) / 1e6)
  }
}
