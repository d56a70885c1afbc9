import TensorCore

/// Operations that wait for memory: ten times each on activations `[2, 64, 64, 64, 32]` (64 MiB), or on logits of
/// three classes with as many voxels. What they read and write, over the time, is to be compared with the machine's
/// memory bandwidth.
let operationWorkloads: [Workload] = [
  operation("add") { $0.activation + $0.other },
  operation("leaky-relu") { $0.activation.leakyRectified(negativeSlope: 0.01) },
  operation("exponential") { $0.activation.exponential() },
  operation("sum-of-channels") { $0.activation.sum(axes: [0, 1, 2, 3]) },
  operation("sum-of-squares") { $0.activation.squaredNorm() },
  operation("concatenate") { Tensor.concatenated([$0.activation, $0.other], axis: 4) },
  operation("channels-first") { $0.activation.channelsFirst() },
  operation("upsample-linear") { $0.small.upsampled(to: [64, 64, 64], .linear) },
  operation("instance-norm-leaky-relu") {
    $0.activation.instanceNormalized(weight: $0.weight, bias: $0.bias, epsilon: 1e-5, negativeSlope: 0.01)
  },
  operation("instance-norm-leaky-relu-composed") {
    $0.activation.instanceNormalized(weight: $0.weight, bias: $0.bias, epsilon: 1e-5)
      .leakyRectified(negativeSlope: 0.01)
  },
  operation("instance-norm-leaky-relu-gradient") {
    InstanceNormalizationGradient(epsilon: 1e-5, negativeSlope: 0.01)(
      $0.other, $0.activation, $0.weight, $0.bias, $0.statistics)
  },
  operation("softmax") { $0.logits.softmax() },
  operation("log-softmax") { $0.logits.logSoftmax() },
]

private struct OperationInputs {
  let activation: Tensor
  let other: Tensor
  let small: Tensor
  let weight = Tensor(repeating: 1.5, shape: [32])
  let bias = Tensor(repeating: 0.1, shape: [32])
  let statistics: Tensor
  let logits: Tensor

  init() {
    func values(_ shape: Shape, seed: UInt64) -> Tensor {
      Tensor(shape: shape, of: Float.self) { elements in
        var state = UInt32(truncatingIfNeeded: seed)
        for index in elements.indices {
          state = state &* 1_664_525 &+ 1_013_904_223
          elements.initializeElement(at: index, to: Float(state >> 8) * 0x1p-23 - 1)
        }
      }
    }
    activation = values([2, 64, 64, 64, 32], seed: 1)
    other = values([2, 64, 64, 64, 32], seed: 2)
    small = values([2, 32, 32, 32, 32], seed: 3)
    logits = values([2, 64, 64, 64, 3], seed: 4)
    statistics = InstanceNormalization(epsilon: 1e-5).apply([activation, weight, bias])[1]
  }
}

private func operation(_ name: String, _ body: @escaping @Sendable (OperationInputs) -> Tensor) -> Workload {
  Workload(name: "operation-" + name) {
    let inputs = OperationInputs()
    return PreparedWorkload(gflop: 0) {
      for _ in 0..<10 {
        let result = body(inputs)
        guard result.withElements(as: Float.self, { $0[0].isFinite && $0[$0.count - 1].isFinite }) else {
          throw WrongResult(description: "operation-\(name): the result is not finite")
        }
      }
    }
  }
}
