import TensorCore

/// From log-probabilities `[N, spatial, K]` and labels the cross-entropy of every voxel `[N, spatial]`, 0 at voxels that
/// do not count: `-(1 - s) * log p[y] - s / K * sum(log p)` with label smoothing `s`.
public struct CrossEntropyMap: Operation {
  public var target: TargetKind
  public var labelSmoothing: Float

  public init(target: TargetKind, labelSmoothing: Float) {
    self.target = target
    self.labelSmoothing = labelSmoothing
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    target.check(inputs[1], logits: inputs[0], operation: "CrossEntropyMap")
    return [Shape(Array(inputs[0].extents.dropLast()))]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [ShapeRange(inputs[0].dimensions.dropLast())] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let shape = inputs[0].shape
    let (samples, classes) = (shape[0], shape.channels)
    guard shape.count > 0 else { return }
    let (map, result) = (inputs[0].floats, outputs[0].floats)
    let elements = TargetElements(target, inputs[1])
    let (own, others) = (1 - labelSmoothing, labelSmoothing / Float(classes))
    forEachVoxelChunk(
      samples: samples, voxelsPerSample: shape.count / (samples * classes), in: context.pool
    ) { _, _, range in
      (result + range.lowerBound).update(repeating: 0, count: range.count)
      elements.forEachCounted(range, classCount: classes) { voxel, label in
        let values = map + voxel * classes
        var sum: Float = 0
        for k in 0..<classes { sum += values[k] }
        result[voxel] = -own * values[label] - others * sum
      } region: { voxel, value in
        let values = map + voxel * classes
        var sum: Float = 0
        for k in 0..<classes { sum += values[k] * (own * value(k) + others) }
        result[voxel] = -sum
      }
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [1]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [
      CrossEntropyMapAdjoint(
        target: target, labelSmoothing: labelSmoothing, classCount: context.inputShapes[0].channels)(
          context.outputGradient, context.input(1)), nil,
    ]
  }
}

/// The gradient of `CrossEntropyMap`: from `g` `[N, spatial]` the map `-g * ((1 - s) * y + s / K)` `[N, spatial, K]`.
public struct CrossEntropyMapAdjoint: Operation {
  public var target: TargetKind
  public var labelSmoothing: Float
  public var classCount: Int

  public init(target: TargetKind, labelSmoothing: Float, classCount: Int) {
    self.target = target
    self.labelSmoothing = labelSmoothing
    self.classCount = classCount
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    let shape = Shape(inputs[0].extents + [classCount])
    target.check(inputs[1], logits: shape, operation: "CrossEntropyMapAdjoint")
    return [shape]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    [ShapeRange(inputs[0].dimensions + [DimensionRange(classCount)])]
  }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let shape = outputs[0].shape
    guard shape.count > 0 else { return }
    let (samples, classes) = (shape[0], classCount)
    let (gradient, result) = (inputs[0].floats, outputs[0].floats)
    let elements = TargetElements(target, inputs[1])
    let (own, others) = (1 - labelSmoothing, labelSmoothing / Float(classes))
    forEachVoxelChunk(
      samples: samples, voxelsPerSample: shape.count / (samples * classes), in: context.pool
    ) { _, _, range in
      (result + range.lowerBound * classes).update(repeating: 0, count: range.count * classes)
      elements.forEachCounted(range, classCount: classes) { voxel, label in
        let values = result + voxel * classes
        for k in 0..<classes { values[k] = -gradient[voxel] * others }
        values[label] -= gradient[voxel] * own
      } region: { voxel, value in
        for k in 0..<classes { result[voxel * classes + k] = -gradient[voxel] * (own * value(k) + others) }
      }
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [1]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [CrossEntropyMap(target: target, labelSmoothing: labelSmoothing)(context.outputGradient, context.input(1)), nil]
  }
}
