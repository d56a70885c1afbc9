import TensorCore

/// Patches that go through the network together, with what they should give.
struct TrainingBatch: Sendable {
  /// `[N, Z, Y, X, C]`, or `[N, Y, X, C]`.
  var data: Tensor
  /// One per head of the network, finest first; see `SegmentationLoss` for types and shapes.
  var targets: [Tensor]
  /// The cases the patches are from.
  var cases: [String]
}
