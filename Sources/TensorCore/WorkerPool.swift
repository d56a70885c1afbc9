#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif
import CKernels
import Synchronization

/// A fixed set of threads that run numbered tasks.
///
/// Results never depend on the number of threads, because callers cut their work into tasks by its size alone.
/// A pool runs one job at a time: a job started while another runs (from a task, or from another thread) is done by
/// the caller alone, so nested parallelism neither deadlocks nor oversubscribes.
public final class WorkerPool: @unchecked Sendable {
  /// Uses `nnUNet_num_threads` threads, by default the processors this process may use.
  public static let shared = WorkerPool(threads: configuredThreadCount())
  /// Runs every task on the calling thread.
  public static let serial = WorkerPool(threads: 1)

  /// How many threads work on a job, the caller among them.
  public let threadCount: Int

  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let jobPosted: UnsafeMutablePointer<pthread_cond_t>
  private let jobFinished: UnsafeMutablePointer<pthread_cond_t>
  /// How long a thread that waits watches for news before it sleeps: the next job mostly comes sooner than a sleeping
  /// thread would wake. Zero where there are more threads than processors.
  private let watchTime: Duration
  private let busy = Atomic<Bool>(false)
  private let nextTask = Atomic<Int>(0)
  // Changed by those who hold `mutex`; waiting threads watch them without.
  private let postedJobs = Atomic<Int>(0)
  private let workersAtWork = Atomic<Int>(0)
  // Guarded by `mutex`.
  private var job: (@Sendable (Int) -> Void)?
  private var taskCount = 0
  private var stopping = false
  private var workers: [pthread_t] = []

  /// - Parameter threads: at least 1; 1 starts no thread.
  public init(threads: Int) {
    threadCount = max(1, threads)
    watchTime = threadCount <= ck_available_processors() ? .microseconds(50) : .zero
    mutex = .allocate(capacity: 1)
    jobPosted = .allocate(capacity: 1)
    jobFinished = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(jobPosted, nil)
    pthread_cond_init(jobFinished, nil)
    for _ in 1..<max(threadCount, 1) {
      var thread = pthread_t()
      // Unretained: `deinit` joins the threads before the pool's memory goes.
      let context = Unmanaged.passUnretained(self).toOpaque()
      let status = pthread_create(
        &thread, nil,
        { context in
          guard let context else { return nil }
          Unmanaged<WorkerPool>.fromOpaque(context).takeUnretainedValue().work()
          return nil
        }, context)
      check(status == 0, "WorkerPool: the system refused to start a thread (error \(status))")
      workers.append(thread)
    }
  }

  deinit {
    pthread_mutex_lock(mutex)
    stopping = true
    pthread_cond_broadcast(jobPosted)
    pthread_mutex_unlock(mutex)
    for thread in workers { pthread_join(thread, nil) }
    pthread_mutex_destroy(mutex)
    pthread_cond_destroy(jobPosted)
    pthread_cond_destroy(jobFinished)
    mutex.deallocate()
    jobPosted.deallocate()
    jobFinished.deallocate()
  }

  /// Runs `body(0) ... body(tasks - 1)`, each once, in any order, and returns when all are done.
  public func run(tasks: Int, _ body: (Int) -> Void) {
    guard tasks > 1, threadCount > 1,
      busy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
    else {
      for task in 0..<max(tasks, 0) { body(task) }
      return
    }
    withoutActuallyEscaping(body) { body in
      // The job ends before `run` returns, and tasks touch disjoint memory: sending the closure is sound.
      let sendable = unsafeBitCast(body, to: (@Sendable (Int) -> Void).self)
      pthread_mutex_lock(mutex)
      job = sendable
      taskCount = tasks
      nextTask.store(0, ordering: .relaxed)
      postedJobs.add(1, ordering: .releasing)
      pthread_cond_broadcast(jobPosted)
      pthread_mutex_unlock(mutex)

      drain(tasks, sendable)

      // From here on nobody joins: a worker that wakes too late is not waited for.
      pthread_mutex_lock(mutex)
      job = nil
      pthread_mutex_unlock(mutex)
      watch(until: { workersAtWork.load(ordering: .acquiring) == 0 })
      pthread_mutex_lock(mutex)
      while workersAtWork.load(ordering: .acquiring) > 0 { pthread_cond_wait(jobFinished, mutex) }
      pthread_mutex_unlock(mutex)
    }
    busy.store(false, ordering: .releasing)
  }

  private func drain(_ tasks: Int, _ body: @Sendable (Int) -> Void) {
    while true {
      let task = nextTask.add(1, ordering: .relaxed).oldValue
      if task >= tasks { return }
      body(task)
    }
  }

  private func work() {
    var seen = 0
    pthread_mutex_lock(mutex)
    while !stopping {
      if postedJobs.load(ordering: .acquiring) == seen {
        pthread_mutex_unlock(mutex)
        watch(until: { postedJobs.load(ordering: .acquiring) != seen })
        pthread_mutex_lock(mutex)
        while postedJobs.load(ordering: .acquiring) == seen && !stopping { pthread_cond_wait(jobPosted, mutex) }
      }
      seen = postedJobs.load(ordering: .acquiring)
      guard let body = job else { continue }
      let tasks = taskCount
      workersAtWork.add(1, ordering: .relaxed)
      pthread_mutex_unlock(mutex)
      drain(tasks, body)
      pthread_mutex_lock(mutex)
      workersAtWork.subtract(1, ordering: .releasing)
      if workersAtWork.load(ordering: .relaxed) == 0 { pthread_cond_signal(jobFinished) }
    }
    pthread_mutex_unlock(mutex)
  }

  /// Returns when `hasCome`, or when sleeping is due.
  private func watch(until hasCome: () -> Bool) {
    guard watchTime > .zero else { return }
    let end = ContinuousClock.now + watchTime
    repeat {
      for _ in 0..<64 {
        if hasCome() { return }
        ck_pause()
      }
    } while ContinuousClock.now < end
  }
}

extension WorkerPool {
  /// Cuts `0..<count` into chunks of `grain` (the last may be shorter) and runs `body` once per chunk.
  public func run(count: Int, grain: Int, _ body: (Range<Int>) -> Void) {
    let grain = max(1, grain)
    run(tasks: (count + grain - 1) / grain) { task in
      body(task * grain..<min(count, (task + 1) * grain))
    }
  }
}

/// `nnUNet_num_threads` if it is a positive number, else the processors in this process's affinity mask.
private func configuredThreadCount() -> Int {
  if let text = getenv("nnUNet_num_threads"), let count = Int(String(cString: text)), count > 0 {
    return count
  }
  return max(1, Int(ck_available_processors()))
}
