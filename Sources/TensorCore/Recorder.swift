/// Someone who follows values: a tape that will walk backward, or a tracer that builds a graph.
///
/// A tensor carries who follows it, so nothing is global and plain tensors pay nothing.
public protocol Recorder: AnyObject, Sendable {
  /// Applies `operation` for tensors of which at least one is followed by this recorder as the outermost one.
  func record(_ operation: any Operation, _ inputs: [Tensor]) -> [Tensor]
}

/// A recorder's name for a value. Recorders nest: a tape may run on values that another tape or a tracer follows.
package final class Recording: Sendable {
  package let recorder: any Recorder
  package let index: Int
  /// How the next recorder inward knows the same value.
  package let inner: Recording?
  /// Recorders outside others come first, whatever the order in which their values meet in an operation.
  package let depth: Int

  package init(recorder: any Recorder, index: Int, inner: Recording?) {
    self.recorder = recorder
    self.index = index
    self.inner = inner
    depth = (inner?.depth ?? 0) + 1
  }
}

extension Tensor {
  /// Whether a tape or tracer follows this value.
  public var isFollowed: Bool { recording != nil }

  /// The value as the next recorder inward sees it, if `recorder` is the outermost one.
  package func peeled(of recorder: any Recorder) -> Tensor {
    guard let recording, recording.recorder === recorder else { return self }
    return Tensor(shape: shape, elementType: elementType, storage: storage, recording: recording.inner)
  }
}
