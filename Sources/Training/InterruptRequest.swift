import Foundation
import Synchronization

/// Whether the user asked the program to stop: Ctrl-C (SIGINT) or SIGTERM.
///
/// The first signal asks for an orderly end; a second one ends the process at once, as without this.
public enum InterruptRequest {
  private static let requested = Atomic<Bool>(false)

  /// Starts listening for the two signals. Safe to call more than once.
  public static func install() {
    // Whoever started this process may have blocked them.
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in [SIGINT, SIGTERM] { sigaddset(&signals, number) }
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    for number in [SIGINT, SIGTERM] {
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { number in
        InterruptRequest.requested.store(true, ordering: .relaxed)
        // A second signal finds the default handler.
        signal(number, SIG_DFL)
      }
      sigaction(number, &action, nil)
    }
  }

  public static var isPending: Bool { requested.load(ordering: .relaxed) }

  /// Calls `body` once, from a thread of its own, when the user asks to stop. Starts listening.
  public static func whenRequested(_ body: @escaping @Sendable () -> Void) {
    install()
    let thread = Thread {
      while !isPending { Thread.sleep(forTimeInterval: 0.05) }
      body()
    }
    thread.start()
  }
}
