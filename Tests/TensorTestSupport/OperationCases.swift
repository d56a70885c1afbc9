import TensorCore

extension OperationCase {
  /// A case or more for every operation of TensorCore.
  package static let all: [OperationCase] =
    pointwise + broadcasting + reductions + softmaxes + layouts + spatial + normalizations + labels + matrixProducts
    + convolutions + fused
}
