import Foundation
import Synchronization
import TensorCore
import Testing

@Suite struct WorkerPoolTests {
  @Test(arguments: [1, 2, 4, 7]) func everyTaskRunsOnce(_ threads: Int) {
    let pool = WorkerPool(threads: threads)
    for tasks in [0, 1, 2, 3, 100, 1000] {
      let counts = Mutex([Int](repeating: 0, count: tasks))
      pool.run(tasks: tasks) { task in counts.withLock { $0[task] += 1 } }
      #expect(counts.withLock { $0 } == [Int](repeating: 1, count: tasks))
    }
  }

  /// A waiting worker watches, then sleeps; jobs come at either time, and end before a sleeping worker is awake.
  @Test(arguments: [2, 3]) func jobsAfterPauses(_ threads: Int) {
    let pool = WorkerPool(threads: threads)
    let total = Atomic<Int>(0)
    for job in 0..<3000 {
      pool.run(tasks: 4) { task in total.add(task, ordering: .relaxed) }
      #expect(total.load(ordering: .relaxed) == (job + 1) * 6)
      if job % 10 == 0 { usleep(UInt32(job % 300)) }
    }
  }

  @Test func chunksCoverTheRange() {
    let pool = WorkerPool(threads: 3)
    for (count, grain) in [(10, 3), (9, 3), (1, 5), (0, 4), (5, 0)] {
      let seen = Mutex([Int]())
      pool.run(count: count, grain: grain) { range in seen.withLock { $0 += Array(range) } }
      #expect(seen.withLock { $0.sorted() } == Array(0..<count))
    }
  }

  @Test func nestedJobsFinish() {
    let pool = WorkerPool(threads: 4)
    let total = Atomic<Int>(0)
    pool.run(tasks: 20) { _ in
      pool.run(tasks: 10) { _ in total.add(1, ordering: .relaxed) }
    }
    #expect(total.load(ordering: .relaxed) == 200)
  }

  @Test func severalThreadsShareAPool() async {
    final class Total: Sendable { let value = Mutex(0) }
    let (pool, total) = (WorkerPool(threads: 2), Total())
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<8 {
        group.addTask {
          for _ in 0..<50 { pool.run(tasks: 5) { task in total.value.withLock { $0 += task } } }
        }
      }
    }
    #expect(total.value.withLock { $0 } == 8 * 50 * 10)
  }
}
