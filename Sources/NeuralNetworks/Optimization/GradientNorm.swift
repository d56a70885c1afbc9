import TensorCore

/// Sums over fixed chunks in Double, then over the chunks: the same for any number of threads.
private let grain = 1 << 14

/// The square root of the sum of squares over all gradients: `torch.nn.utils.clip_grad_norm_`'s norm.
public func globalNorm(of gradients: [Tensor?]) -> Double {
  defer { withExtendedLifetime(gradients) {} }
  return globalNorm(of: gradients.compactMap { $0.map(TensorView.init) }, in: .shared)
}

func globalNorm(of gradients: [TensorView], in pool: WorkerPool) -> Double {
  var total = 0.0
  for gradient in gradients {
    let chunks = (gradient.count + grain - 1) / grain
    var partial = [Double](repeating: 0, count: chunks)
    let values = gradient.floats
    let count = gradient.count
    partial.withUnsafeMutableBufferPointer { partial in
      let partial = Unshared(partial)
      pool.run(tasks: chunks) { chunk in
        var sums = SIMD8<Double>.zero
        var index = chunk * grain
        let end = min(count, index + grain)
        while index + 8 <= end {
          let value = SIMD8<Double>(UnsafeRawPointer(values + index).loadUnaligned(as: SIMD8<Float>.self))
          sums += value * value
          index += 8
        }
        var sum = sums.sum()
        while index < end {
          sum += Double(values[index]) * Double(values[index])
          index += 1
        }
        partial.value[chunk] = sum
      }
    }
    total += partial.reduce(0, +)
  }
  return total.squareRoot()
}

/// By what to multiply gradients so that their global norm is at most `maximum`: `maximum / (norm + 1e-6)`, at most 1.
public func clippingFactor(norm: Double, maximum: Double) -> Double { min(1, maximum / (norm + 1e-6)) }

/// Memory that tasks write disjoint parts of.
struct Unshared<Value>: @unchecked Sendable {
  let value: Value
  init(_ value: Value) { self.value = value }
}
