import Foundation
import Preprocessing
import Synchronization
import Testing

@Suite struct MemoryTests {
  @Test func theGateLetsInWhatFits() {
    let gate = MemoryGate(limit: 10)
    let first = gate.enter(6)
    let second = gate.enter(4)
    let entered = Mutex<[Int]>([])
    // In the order of asking: the small one waits behind the large one.
    let group = DispatchGroup()
    for (index, bytes) in [8, 2].enumerated() {
      DispatchQueue.global().async(group: group) {
        let reservation = gate.enter(bytes)
        entered.withLock { $0.append(index) }
        reservation.end()
      }
      while gate.askedFor < 3 + index { Thread.sleep(forTimeInterval: 0.001) }
    }
    second.shrink(to: 1, exclusive: 0)
    #expect(entered.withLock { $0.isEmpty })
    first.end()
    group.wait()
    #expect(entered.withLock { $0 } == [0, 1])
    #expect(gate.peak.bytes == 10)
    second.end()
    // Alone, even the largest gets in.
    _ = gate.enter(100)
    #expect(gate.peak.bytes == 100)
  }

  @Test func whatOnlyOneNeedsAtATimeCountsOnce() {
    let gate = MemoryGate(limit: 10)
    let first = gate.enter(2, exclusive: 6)
    let second = gate.enter(2, exclusive: 5)
    #expect(gate.peak.bytes == 2 + 2 + 6 && gate.peak.count == 2)
    let third = Mutex<MemoryReservation?>(nil)
    let group = DispatchGroup()
    DispatchQueue.global().async(group: group) {
      let reservation = gate.enter(1, exclusive: 1)
      third.withLock { $0 = reservation }
    }
    while gate.askedFor < 3 { Thread.sleep(forTimeInterval: 0.001) }
    // Nothing grows in all.
    first.shrink(to: 3, exclusive: 7)
    #expect(third.withLock { $0 } == nil)
    first.shrink(to: 2, exclusive: 0)
    group.wait()
    #expect(gate.peak.bytes == 10 && gate.peak.count == 3)
    // 2 + 2 + 1, and 5 for the second: no room for more until that is given back too.
    second.end()
    let fourth = gate.enter(6, exclusive: 0)
    #expect(gate.peak.bytes == 10 && gate.peak.count == 3)
    fourth.end()
    first.end()
    third.withLock { $0?.end() }
    // What was for itself becomes exclusive: 2 and 6 stay, so that 2 more get in and 3 would not.
    let fifth = gate.enter(5, exclusive: 3)
    fifth.shrink(to: 2, exclusive: 7)
    let sixth = gate.enter(2, exclusive: 6)
    #expect(gate.peak.bytes == 10)
    sixth.end()
    fifth.end()
  }

  #if os(Linux)
    @Test func controlGroupsCount() throws {
      let root = FileManager.default.temporaryDirectory.appendingPathComponent("cgroup-\(UUID().uuidString)")
      defer { try? FileManager.default.removeItem(at: root) }
      func write(_ path: String, _ text: String) throws {
        let file = root.appendingPathComponent(path)
        try FileManager.default.createDirectory(
          at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
      }
      func available() -> Int? { AvailableMemory.bytes(root: root.path, idleByteCount: 1000) }
      #expect(available() == nil)
      #expect(try #require(AvailableMemory.bytes()) > 0)
      try write("proc/meminfo", "MemTotal:  4000 kB\nMemAvailable:   2000 kB\n")
      #expect(available() == 2_049_000)
      // Version 2: the group above the process's own has the limit; inactive files do not count as used.
      try write("proc/self/cgroup", "0::/jobs/mine\n")
      try write("sys/fs/cgroup/jobs/memory.max", "1000000\n")
      try write("sys/fs/cgroup/jobs/memory.current", "700000\n")
      try write("sys/fs/cgroup/jobs/memory.stat", "anon 1\ninactive_file 200000\n")
      try write("sys/fs/cgroup/jobs/mine/memory.max", "max\n")
      #expect(available() == 501_000)
      // Version 1.
      try write("proc/self/cgroup", "5:cpu:/\n4:memory:/one\n")
      try write("sys/fs/cgroup/memory/one/memory.limit_in_bytes", "900000\n")
      try write("sys/fs/cgroup/memory/one/memory.usage_in_bytes", "100000\n")
      #expect(available() == 801_000)
    }
  #endif

  @Test func theLimitComesFromTheEnvironment() throws {
    #expect(try AvailableMemory.configuredBytes(environment: [:]) == nil)
    #expect(try AvailableMemory.configuredBytes(environment: ["nnUNet_memory_limit": "1.5"]) == 1_500_000_000)
    #expect(throws: PreprocessingError.badMemoryLimit("much")) {
      try AvailableMemory.configuredBytes(environment: ["nnUNet_memory_limit": "much"])
    }
  }

  @Test func whatTheConfiguredLimitCannotHoldIsRefused() throws {
    let environment = ["nnUNet_memory_limit": "0.001"]
    let gate = try MemoryGate(configured: nil, environment: environment)
    #expect(gate.limit == 1_000_000 && gate.capacity == 1_000_000)
    #expect(try gate.run(bytes: 1_000_000) { 1 } == 1)
    #expect(throws: PreprocessingError.notEnoughMemory(needed: 1_000_001, available: 1_000_000)) {
      try gate.run(bytes: 1_000_001) {}
    }
    // What the run itself was given comes first.
    #expect(try MemoryGate(configured: 10, environment: environment).limit == 10)
    #expect(throws: PreprocessingError.badMemoryLimit("-1")) {
      try MemoryGate(configured: nil, environment: ["nnUNet_memory_limit": "-1"])
    }
  }
}
