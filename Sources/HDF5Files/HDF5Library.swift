import CHDF5

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

/// The one door to the C library, which may be built without thread safety: every call happens under one lock.
enum HDF5Library {
  /// Recursive, because releasing the last reference to a dataset inside a locked region locks again.
  private static let lock = RecursiveLock()

  /// External links and filter plug-ins are turned off once per process.
  private static let restricted: Bool = {
    chdf5_restrict()
    return true
  }()

  /// Runs `body` while no other thread is inside the library.
  static func locked<Result>(_ body: () throws -> Result) rethrows -> Result {
    lock.acquire()
    defer { lock.release() }
    _ = chdf5_prepare()
    _ = restricted
    return try body()
  }

  /// The library's own words for the last failure.
  static func lastMessage() -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { buffer -> String in
      guard let base = buffer.baseAddress else { return "a failure without a message" }
      chdf5_error_message(base, buffer.count)
      let text = String(cString: base)
      return text.isEmpty ? "a failure without a message" : text
    }
  }

  /// Calls `body` with `handle` and closes it after, whatever happens.
  static func scoped<Result>(
    _ handle: hid_t, close: (hid_t) -> herr_t, _ body: (hid_t) throws -> Result
  ) rethrows -> Result {
    defer { _ = close(handle) }
    return try body(handle)
  }
}

/// A mutex that the thread which holds it may take again.
private final class RecursiveLock: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>

  init() {
    mutex = .allocate(capacity: 1)
    var attributes = pthread_mutexattr_t()
    pthread_mutexattr_init(&attributes)
    pthread_mutexattr_settype(&attributes, Int32(PTHREAD_MUTEX_RECURSIVE))
    pthread_mutex_init(mutex, &attributes)
    pthread_mutexattr_destroy(&attributes)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  func acquire() { pthread_mutex_lock(mutex) }
  func release() { pthread_mutex_unlock(mutex) }
}
