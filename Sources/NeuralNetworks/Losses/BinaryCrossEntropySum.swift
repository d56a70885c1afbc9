#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif
import TensorCore

/// From logits `[N, spatial, K]` and regions, two scalars: the sum of binary cross-entropies over the voxels that
/// count and all regions, and the number of those voxels.
///
/// `max(x, 0) - x * y + log(1 + exp(-|x|))`, which neither overflows nor cancels; sums are in Double.
public struct BinaryCrossEntropySum: Operation {
  public var target: TargetKind

  public init(target: TargetKind) { self.target = target }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    target.check(inputs[1], logits: inputs[0], operation: "BinaryCrossEntropySum")
    return [[], []]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [[], []] }

  public func elementTypes(of inputs: [ElementType]) -> [ElementType] { [.float32, .float32] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let shape = inputs[0].shape
    let (samples, classes) = (shape[0], shape.channels)
    let voxels = samples * classes > 0 ? shape.count / (samples * classes) : 0
    let logits = inputs[0].floats
    let elements = TargetElements(target, inputs[1])
    let chunks = voxelChunkCount(samples: samples, voxelsPerSample: voxels)
    context.withScratch(byteCount: chunks * 16) { memory in
      let partial = memory.assumingMemoryBound(to: Double.self)
      forEachVoxelChunk(samples: samples, voxelsPerSample: voxels, in: context.pool) { chunk, _, range in
        var (sum, count) = (0.0, 0)
        func add(_ voxel: Int, _ value: (Int) -> Float) {
          let values = logits + voxel * classes
          count += 1
          for k in 0..<classes {
            let x = values[k]
            sum += Double(max(x, 0) - x * value(k) + log1pf(expf(-abs(x))))
          }
        }
        elements.forEachCounted(range, classCount: classes) { voxel, label in
          add(voxel) { $0 == label ? 1 : 0 }
        } region: { voxel, value in
          add(voxel, value)
        }
        partial[2 * chunk] = sum
        partial[2 * chunk + 1] = Double(count)
      }
      var (sum, count) = (0.0, 0.0)
      for chunk in 0..<chunks {
        sum += partial[2 * chunk]
        count += partial[2 * chunk + 1]
      }
      outputs[0].floats[0] = Float(sum)
      outputs[1].floats[0] = Float(count)
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0, 1]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    guard let gradient = context.outputGradients[0] else { return [nil, nil] }
    let residual = MaskedResidual(target: target, subtractsTarget: true)(
      context.input(0).sigmoid(), context.input(1))
    return [residual * gradient, nil]
  }
}

/// `p - y`, or `p` alone, at the voxels that count and 0 at the others.
public struct MaskedResidual: Operation {
  public var target: TargetKind
  public var subtractsTarget: Bool

  public init(target: TargetKind, subtractsTarget: Bool) {
    self.target = target
    self.subtractsTarget = subtractsTarget
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    target.check(inputs[1], logits: inputs[0], operation: "MaskedResidual")
    return [inputs[0]]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [inputs[0]] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let shape = inputs[0].shape
    let (samples, classes) = (shape[0], shape.channels)
    guard shape.count > 0 else { return }
    let (map, result) = (inputs[0].floats, outputs[0].floats)
    let elements = TargetElements(target, inputs[1])
    let factor: Float = subtractsTarget ? 1 : 0
    forEachVoxelChunk(
      samples: samples, voxelsPerSample: shape.count / (samples * classes), in: context.pool
    ) { _, _, range in
      (result + range.lowerBound * classes).update(repeating: 0, count: range.count * classes)
      elements.forEachCounted(range, classCount: classes) { voxel, label in
        for k in 0..<classes { result[voxel * classes + k] = map[voxel * classes + k] }
        result[voxel * classes + label] -= factor
      } region: { voxel, value in
        for k in 0..<classes { result[voxel * classes + k] = map[voxel * classes + k] - factor * value(k) }
      }
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [1]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [MaskedResidual(target: target, subtractsTarget: false)(context.outputGradient, context.input(1)), nil]
  }
}
