import CKernels

/// 1 where a comparison of two tensors holds and 0 elsewhere, broadcasting; it has no gradient.
public struct Compare: BroadcastingOperation {
  public enum Relation: Hashable, Sendable { case greater, greaterOrEqual, equal }

  public var relation: Relation

  var kernel: KeyPath<ck_pointwise_kernels, ck_binary_kernel> & Sendable {
    switch relation {
    case .greater: \.greater
    case .greaterOrEqual: \.greater_equal
    case .equal: \.equal
    }
  }

  public init(_ relation: Relation) { self.relation = relation }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] { [nil, nil] }
}
