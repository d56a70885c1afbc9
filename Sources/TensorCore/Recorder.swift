import Synchronization

/// Someone who follows values: a tape that will walk backward, or a tracer that builds a graph.
///
/// A tensor carries who follows it, so nothing is global and plain tensors pay nothing.
public protocol Recorder: AnyObject, Sendable {
  /// Decides who records first when values of several recorders meet in one operation.
  var order: RecorderOrder { get }

  /// Applies `operation` for tensors of which at least one is followed by this recorder as the outermost one.
  func record(_ operation: any Operation, _ inputs: [Tensor]) -> [Tensor]
}

/// When a recorder was made. Recorders nest like scopes: one made later works inside those made before it, so it
/// records first and they see what it does, whether or not they follow the same values.
public struct RecorderOrder: Comparable, Hashable, Sendable {
  private static let made = Atomic<Int>(0)
  private let number: Int

  /// The order of a recorder made now.
  public init() { number = Self.made.add(1, ordering: .relaxed).newValue }

  public static func < (a: RecorderOrder, b: RecorderOrder) -> Bool { a.number < b.number }
}

/// A recorder's name for a value. Recorders nest: a tape may run on values that another tape or a tracer follows.
package final class Recording: Sendable {
  package let recorder: any Recorder
  package let index: Int
  /// How the recorders made earlier know the same value.
  package let inner: Recording?

  package init(recorder: any Recorder, index: Int, inner: Recording?) {
    check(
      inner.map { $0.recorder.order < recorder.order } ?? true,
      "\(type(of: recorder)): it cannot follow a value of a recorder that was made later")
    self.recorder = recorder
    self.index = index
    self.inner = inner
  }
}

extension Tensor {
  /// Whether a tape or tracer follows this value.
  public var isFollowed: Bool { recording != nil }

  /// The value as the recorders made before `recorder` see it.
  package func peeled(of recorder: any Recorder) -> Tensor {
    guard let recording, recording.recorder === recorder else { return self }
    return Tensor(shape: shape, elementType: elementType, storage: storage, recording: recording.inner)
  }
}
