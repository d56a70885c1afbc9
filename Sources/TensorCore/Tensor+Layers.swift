extension Tensor {
  /// x where x > 0, 0 elsewhere.
  public func rectified() -> Tensor { LeakyRectifier(negativeSlope: 0)(self) }
  /// x where x > 0, `negativeSlope * x` elsewhere.
  public func leakyRectified(negativeSlope: Float) -> Tensor { LeakyRectifier(negativeSlope: negativeSlope)(self) }
  /// 1 / (1 + e^-x)
  public func sigmoid() -> Tensor { Sigmoid()(self) }
  /// ln(1 + e^x)
  public func softplus() -> Tensor { Softplus()(self) }
  /// The logarithm of the sigmoid, without overflow.
  public func logSigmoid() -> Tensor { -(-self).softplus() }
  /// Over the channels (the last axis).
  public func softmax() -> Tensor { Softmax()(self) }
  /// Over the channels (the last axis), without overflow.
  public func logSoftmax() -> Tensor { LogSoftmax()(self) }

  /// Labels `[...]` to `[..., classCount]`; a label that names no channel gives zeros.
  public func oneHot(classCount: Int) -> Tensor { OneHot(classCount: classCount)(self) }

  /// From `[..., C]` the element in the channel that the label `[...]` names; 0 where it names none.
  public func gatheringChannel(_ labels: Tensor) -> Tensor { GatherChannel()(self, labels) }

  /// The average under a sliding window over the spatial axes of `[N, ..., C]`; padding counts as zeros.
  public func averagePooled(_ window: PoolingWindow) -> Tensor { AveragePool(window)(self) }

  /// The largest value under a sliding window over the spatial axes of `[N, ..., C]`.
  public func maxPooled(_ window: PoolingWindow) -> Tensor { MaxPool(window)(self) }

  /// The spatial axes of `[N, ..., C]` brought to other extents, as PyTorch's `interpolate(align_corners=False)`.
  public func upsampled(to extents: [Int], _ interpolation: Interpolation) -> Tensor {
    shape.spatial == extents ? self : Upsample(to: extents, interpolation)(self)
  }

  /// Instance normalisation of `[N, ..., C]` over the spatial axes; `weight` and `bias` are `[C]`.
  public func instanceNormalized(weight: Tensor, bias: Tensor, epsilon: Float) -> Tensor {
    InstanceNormalization(epsilon: epsilon)(self, weight, bias)
  }

  /// Instance normalisation and a leaky rectifier in one pass.
  public func instanceNormalized(
    weight: Tensor, bias: Tensor, epsilon: Float, negativeSlope: Float
  ) -> Tensor {
    InstanceNormalizationActivation(epsilon: epsilon, negativeSlope: negativeSlope)(self, weight, bias)
  }

  /// Batch normalisation of `[N, ..., C]` in training: over batch and spatial axes, which makes it the instance
  /// normalisation of the batch seen as one instance. Ioffe, Szegedy, arXiv:1502.03167.
  ///
  /// - Returns: the result, and the batch's statistics for the running ones.
  public func batchNormalized(
    weight: Tensor, bias: Tensor, epsilon: Float
  ) -> (result: Tensor, statistics: BatchStatistics) {
    check(rank >= 2, "Tensor.batchNormalized: shape \(shape) is not [N, ..., C]")
    let channels = shape.channels
    let rows = shape.count / max(channels, 1)
    let outputs = InstanceNormalization(epsilon: epsilon).apply([reshaped(to: [1, rows, channels]), weight, bias])
    func statistic(_ index: Int) -> Tensor {
      outputs[1].sliced(axis: 0, index..<index + 1).reshaped(to: [channels])
    }
    return (
      outputs[0].reshaped(to: shape),
      BatchStatistics(mean: statistic(0), variance: statistic(2), count: rows)
    )
  }

  /// Batch normalisation in evaluation, with running statistics `[C]`.
  public func batchNormalized(
    weight: Tensor, bias: Tensor, runningMean: Tensor, runningVariance: Tensor, epsilon: Float
  ) -> Tensor {
    let scale = weight / (runningVariance + epsilon).squareRoot()
    return (self - runningMean) * scale + bias
  }

  /// Elements set to 0 with a probability and the others scaled by `1 / (1 - probability)`; the generator moves on.
  ///
  /// - Parameter channelwise: whole channels of an instance of `[N, ..., C]` go or stay together (PyTorch's
  ///   `Dropout2d` and `Dropout3d`).
  public func dropout(
    probability: Float, channelwise: Bool, generator: inout RandomGenerator
  ) -> Tensor {
    let state = Tensor([generator.key, generator.position], shape: [2])
    generator.position &+= UInt64(dropoutMaskShape(channelwise: channelwise).count)
    return dropout(probability: probability, channelwise: channelwise, state: state, offset: 0)
  }

  /// Like `dropout(probability:channelwise:generator:)` from a generator's state (key and position, uint64 `[2]`) that
  /// is itself a tensor, so that a traced computation can be run again with other states.
  ///
  /// - Parameter offset: how many words others draw from the same state before.
  public func dropout(probability: Float, channelwise: Bool, state: Tensor, offset: UInt64) -> Tensor {
    let mask = DropoutMask(
      probability: probability, shape: dropoutMaskShape(channelwise: channelwise), offset: offset)
    return self * mask(state)
  }

  /// One number for each element, or for each channel of each instance.
  package func dropoutMaskShape(channelwise: Bool) -> Shape {
    channelwise ? Shape([shape[0]] + shape.spatial.map { _ in 1 } + [shape.channels]) : shape
  }
}

/// What batch normalisation measured of a batch, per channel.
public struct BatchStatistics: Sendable {
  public var mean: Tensor
  /// Biased: the sum of squares over `count`.
  public var variance: Tensor
  /// Elements per channel.
  public var count: Int

  public init(mean: Tensor, variance: Tensor, count: Int) {
    self.mean = mean
    self.variance = variance
    self.count = count
  }

  /// The running statistics after this batch, as PyTorch keeps them: the variance enters unbiased.
  public func updating(
    runningMean: Tensor, runningVariance: Tensor, momentum: Float = 0.1
  ) -> (mean: Tensor, variance: Tensor) {
    let correction = Float(count) / Float(max(count - 1, 1))
    return (
      runningMean.scaled(by: 1 - momentum, adding: mean, scaledBy: momentum),
      runningVariance.scaled(by: 1 - momentum, adding: variance, scaledBy: momentum * correction)
    )
  }
}
