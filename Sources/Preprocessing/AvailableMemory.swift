import Foundation
import TensorCore

/// How many bytes of memory this process may still take.
package enum AvailableMemory {
  /// The limit in gigabytes (10^9 bytes) that `nnUNet_memory_limit` sets, in bytes.
  /// - Throws: `PreprocessingError.badMemoryLimit` if it is not a positive number.
  package static func configuredBytes(
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws -> Int? {
    guard let text = environment["nnUNet_memory_limit"], !text.isEmpty else { return nil }
    guard let gigabytes = Double(text), gigabytes > 0, gigabytes < 1e9 else {
      throw PreprocessingError.badMemoryLimit(text)
    }
    return Int(gigabytes * 1e9)
  }

  /// What the system calls available and what the control groups of this process leave, the least of them; idle blocks
  /// of the tensor pool count as available. `nil` where the system does not say.
  ///
  /// - Parameters:
  ///   - root: the root of the file system, elsewhere in tests.
  ///   - idleByteCount: of the tensor pool.
  package static func bytes(
    root: String = "/", idleByteCount: Int = StoragePool.shared.statistics.bytesIdle
  ) -> Int? {
    #if os(Linux)
      let candidates = [systemBytes(root)] + controlGroups(root).map { remaining(in: $0) }
      guard let least = candidates.compactMap({ $0 }).min() else { return nil }
      return least + idleByteCount
    #else
      return Int(ProcessInfo.processInfo.physicalMemory)
    #endif
  }

  /// Bytes as gigabytes (10^9) or megabytes.
  package static func text(_ bytes: Int) -> String {
    bytes >= 1_000_000_000
      ? String(format: "%.1f GB", Double(bytes) / 1e9) : String(format: "%.0f MB", Double(bytes) / 1e6)
  }

  #if os(Linux)
    private static func systemBytes(_ root: String) -> Int? {
      text(root + "/proc/meminfo").flatMap { field("MemAvailable:", in: $0) }.map { $0 * 1024 }
    }

    /// The folders of this process's memory control groups (version 1 and 2) and of those above them.
    private static func controlGroups(_ root: String) -> [String] {
      guard let membership = text(root + "/proc/self/cgroup") else { return [] }
      return membership.split(separator: "\n").flatMap { line -> [String] in
        let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3 else { return [] }
        let base: String
        if parts[1].isEmpty {
          base = root + "/sys/fs/cgroup"
        } else if parts[1].split(separator: ",").contains("memory") {
          base = root + "/sys/fs/cgroup/memory"
        } else {
          return []
        }
        var folders = [base]
        for component in parts[2].split(separator: "/") where component != ".." {
          folders.append((folders.last ?? base) + "/" + component)
        }
        return folders
      }
    }

    /// The group's limit less what it uses, of which the cache of inactive files does not count.
    private static func remaining(in group: String) -> Int? {
      func number(_ name: String) -> Int? {
        text(group + "/" + name).flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
      }
      guard let limit = number("memory.max") ?? number("memory.limit_in_bytes"),
        let used = number("memory.current") ?? number("memory.usage_in_bytes")
      else { return nil }
      let statistics = text(group + "/memory.stat") ?? ""
      let cache = field("total_inactive_file", in: statistics) ?? field("inactive_file", in: statistics) ?? 0
      return max(0, limit - max(0, used - cache))
    }

    private static func text(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }

    /// The number after a name at the beginning of a line.
    private static func field(_ name: String, in text: String) -> Int? {
      for line in text.split(separator: "\n") {
        let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
        if words.count > 1, words[0] == name { return Int(words[1]) }
      }
      return nil
    }
  #endif
}
