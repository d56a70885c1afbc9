import CKernels
import TensorCore

/// For a map `p` `[N, spatial, K]` and a target `y`, over the voxels that count, three sums `[N, K]`:
/// `sum(p * y)`, `sum(p)` and `sum(y)`.
///
/// Everything soft Dice and cross-entropy need, in one pass and without a one-hot tensor. Sums of a few values are in
/// float32, and added in Double.
public struct ClassSums: Operation {
  public var target: TargetKind

  public init(target: TargetKind) { self.target = target }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    target.check(inputs[1], logits: inputs[0], operation: "ClassSums")
    return [Shape](repeating: [inputs[0][0], inputs[0].channels], count: 3)
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    let sums = ShapeRange([inputs[0][0], inputs[0][inputs[0].rank - 1]])
    return [sums, sums, sums]
  }

  public func elementTypes(of inputs: [ElementType]) -> [ElementType] { [.float32, .float32, .float32] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let shape = inputs[0].shape
    let (samples, classes) = (shape[0], shape.channels)
    guard samples * classes > 0 else { return }
    let voxels = shape.count / (samples * classes)
    let map = inputs[0].floats
    let elements = TargetElements(target, inputs[1])
    let kernels = ck_reduction_kernels_for(context.instructionSet).pointee
    let chunks = voxelChunkCount(samples: samples, voxelsPerSample: voxels)
    let spacing = Self.chunkSpacing(classes)
    context.withScratch(byteCount: chunks * spacing * MemoryLayout<Double>.stride) { memory in
      let partial = memory.assumingMemoryBound(to: Double.self)
      forEachVoxelChunk(samples: samples, voxelsPerSample: voxels, in: context.pool) { chunk, _, range in
        let shared = partial + chunk * spacing
        let (all, own) = (shared + classes, shared + 2 * classes)
        shared.update(repeating: 0, count: 3 * classes)
        if case .labels(let labels, let ignored) = elements {
          let isKnown = kernels.class_sums(
            shared, map + range.lowerBound * classes, labels + range.lowerBound, range.count, classes,
            ignored.map { Int32($0) } ?? .min)
          if isKnown != 0 { return }
        }
        // Labels come here to be refused.
        elements.forEachCounted(range, classCount: classes) { _, _ in
        } region: { voxel, value in
          let values = map + voxel * classes
          for k in 0..<classes {
            let y = Double(value(k))
            shared[k] += Double(values[k]) * y
            all[k] += Double(values[k])
            own[k] += y
          }
        }
      }
      for sample in 0..<samples {
        for (kind, output) in outputs.enumerated() {
          for k in 0..<classes {
            var sum = 0.0
            for chunk in sample * chunks / samples..<(sample + 1) * chunks / samples {
              sum += partial[chunk * spacing + kind * classes + k]
            }
            output.floats[sample * classes + k] = Float(sum)
          }
        }
      }
    }
  }

  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int {
    let (samples, classes) = (inputs[0][0], inputs[0].channels)
    guard samples * classes > 0 else { return 0 }
    let chunks = voxelChunkCount(samples: samples, voxelsPerSample: inputs[0].count / (samples * classes))
    return ScratchMemory.size(of: chunks * Self.chunkSpacing(classes) * MemoryLayout<Double>.stride)
  }

  /// Doubles from one chunk's sums to the next one's: whole cache lines, which threads would hand to and fro otherwise.
  private static func chunkSpacing(_ classes: Int) -> Int { (3 * classes + 7) / 8 * 8 }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [1]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let shape = context.inputShapes[0]
    let zeros = Tensor(zeros: context.outputShapes[0])
    guard context.outputGradients[0] != nil || context.outputGradients[1] != nil else { return [nil, nil] }
    return [
      ClassSumsAdjoint(target: target, shape: shape)(
        context.outputGradients[0] ?? zeros, context.outputGradients[1] ?? zeros, context.input(1)), nil,
    ]
  }
}

/// The gradient of `ClassSums`: from `a`, `b` `[N, K]` and a target the map `a * y + b` `[N, spatial, K]`, zero at
/// voxels that do not count. Linear in `a` and `b`, so its own gradient is `ClassSums` again.
public struct ClassSumsAdjoint: ShapeBoundOperation {
  public var target: TargetKind
  /// Of the map.
  public var shape: Shape

  public init(target: TargetKind, shape: Shape) {
    self.target = target
    self.shape = shape
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    target.check(inputs[2], logits: shape, operation: "ClassSumsAdjoint")
    check(
      inputs[0] == [shape[0], shape.channels] && inputs[1] == inputs[0],
      "ClassSumsAdjoint: sums for \(shape) have shape [\(shape[0]), \(shape.channels)], got \(inputs[0]), \(inputs[1])")
    return [shape]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [ShapeRange(shape)] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let (samples, classes) = (shape[0], shape.channels)
    guard shape.count > 0 else { return }
    let result = outputs[0].floats
    let elements = TargetElements(target, inputs[2])
    let (shared, all) = (inputs[0].floats, inputs[1].floats)
    let kernels = ck_reduction_kernels_for(context.instructionSet).pointee
    forEachVoxelChunk(
      samples: samples, voxelsPerSample: shape.count / (samples * classes), in: context.pool
    ) { _, sample, range in
      let (a, b) = (shared + sample * classes, all + sample * classes)
      if case .labels(let labels, let ignored) = elements {
        let isKnown = kernels.class_values(
          result + range.lowerBound * classes, a, b, labels + range.lowerBound, range.count, classes,
          ignored.map { Int32($0) } ?? .min)
        if isKnown != 0 { return }
      }
      // Labels come here to be refused.
      (result + range.lowerBound * classes).update(repeating: 0, count: range.count * classes)
      elements.forEachCounted(range, classCount: classes) { _, _ in
      } region: { voxel, value in
        let values = result + voxel * classes
        for k in 0..<classes { values[k] = a[k] * value(k) + b[k] }
      }
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [2]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let sums = ClassSums(target: target).apply([context.outputGradient, context.input(2)])
    return [sums[0], sums[1], nil]
  }
}
