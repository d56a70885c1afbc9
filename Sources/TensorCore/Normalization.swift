import CKernels

/// Channels-last `[N, ..., C]` seen as `instances` times `rows` rows of `channels`, cut into parts of rows.
struct NormalizationLayout: Sendable {
  let instances: Int
  let rows: Int
  let channels: Int
  /// Rows per part: a part fits a core's cache, so that its statistics cost one trip to memory.
  let partRows: Int
  let parts: Int

  init(_ shape: Shape) {
    instances = shape[0]
    channels = shape.channels
    rows = shape.spatial.reduce(1, *)
    partRows = max(1, min(512, (1 << 15) / max(channels, 1)))
    parts = max(1, (rows + partRows - 1) / partRows)
  }

  /// Scratch for the terms of all instances.
  var termsByteCount: Int { ScratchMemory.size(of: 4 * instances * channels * MemoryLayout<Float>.stride) }

  /// Scratch for the sums of all parts and the terms of all instances, forward or backward.
  var scratchByteCount: Int {
    let sums = (instances * parts * 2 * channels + 2 * instances * channels) * MemoryLayout<Float>.stride
    return termsByteCount + ScratchMemory.size(of: sums)
  }

  /// The offset of a part's first element and its rows.
  func part(_ task: Int) -> (instance: Int, offset: Int, rows: Int) {
    let (instance, part) = task.quotientAndRemainder(dividingBy: parts)
    let first = part * partRows
    return (instance, (instance * rows + first) * channels, min(partRows, rows - first))
  }
}

/// The statistics output of a normalisation: `[3, N, C]`: the mean, what rounding the mean to float32 lost, and the
/// biased variance.
struct NormalizationStatistics {
  var mean: UnsafePointer<Float>
  var lost: UnsafePointer<Float>
  var variance: UnsafePointer<Float>

  init(_ pointer: UnsafePointer<Float>, count: Int) {
    mean = pointer
    lost = pointer + count
    variance = pointer + 2 * count
  }

  static func shape(of input: Shape) -> Shape { [3, input[0], input.channels] }

  static func range(of input: ShapeRange) -> ShapeRange {
    [DimensionRange(3), input[0], input.dimensions.last ?? .unknown]
  }
}

/// One pass over the input: each part's sums relative to its first row, the parts joined in double precision
/// (Chan, Golub, LeVeque: "Updating formulae and a pairwise algorithm for computing sample variances", 1979).
func normalizationStatistics(
  _ x: UnsafePointer<Float>, _ layout: NormalizationLayout, into result: UnsafeMutablePointer<Float>,
  in context: EvaluationContext
) {
  let kernels = ck_normalization_kernels_for(context.instructionSet).pointee
  let channels = layout.channels
  let tasks = layout.instances * layout.parts
  context.withScratch(byteCount: tasks * 2 * channels * MemoryLayout<Float>.stride) { scratch in
    let partials = scratch.assumingMemoryBound(to: Float.self)
    context.pool.run(tasks: tasks) { task in
      let part = layout.part(task)
      let own = partials + task * 2 * channels
      kernels.moments(own, own + channels, x + part.offset, part.rows, channels)
    }
    joinMoments(instances: layout.instances, channels: channels, into: result, in: context) { instance, some, joined in
      for task in instance * layout.parts..<(instance + 1) * layout.parts {
        let part = layout.part(task)
        let own = partials + task * 2 * channels + some.lowerBound
        joined.join(
          count: part.rows, shifts: x + part.offset + some.lowerBound, sums: own, squares: own + channels,
          channels: some.count)
      }
    }
  }
}

/// Joins the moments of parts and writes statistics `[3, N, C]`; `visit` brings the parts of one instance, for some
/// channels, in their order.
func joinMoments(
  instances: Int, channels: Int, into result: UnsafeMutablePointer<Float>, in context: EvaluationContext,
  _ visit: (_ instance: Int, _ channels: Range<Int>, _ joined: inout JoinedMoments) -> Void
) {
  let width = JoinedMoments.width, groups = (channels + width - 1) / width
  context.pool.run(tasks: instances * groups) { task in
    let (instance, group) = task.quotientAndRemainder(dividingBy: groups)
    let range = group * width..<min(channels, (group + 1) * width)
    var joined = JoinedMoments()
    visit(instance, range, &joined)
    joined.store(
      at: instance * channels + range.lowerBound, of: instances * channels, into: result, channels: range.count)
  }
}

/// Means and squared deviations of values that arrive in parts, in double precision, of some channels side by side.
struct JoinedMoments {
  /// Channels at most.
  static let width = Lanes.scalarCount
  private typealias Lanes = SIMD8<Double>

  private var count = 0.0
  private var mean = Lanes.zero
  private var squares = Lanes.zero

  /// Joins a part: its size, and for each channel the sum and the sum of squares of its values' differences from a shift.
  mutating func join(
    count partCount: Int, shifts: UnsafePointer<Float>, sums: UnsafePointer<Float>,
    squares partSquares: UnsafePointer<Float>, channels: Int
  ) {
    let partCount = Double(partCount)
    let (share, joined) = (1 / partCount, count + partCount)
    let weight = partCount / joined
    let sum = Self.lanes(sums, channels)
    let partSum = Self.lanes(partSquares, channels) - sum * sum * share
    let difference = Self.lanes(shifts, channels) + sum * share - mean
    squares += pointwiseMax(partSum, .zero) + difference * difference * (count * weight)
    mean += difference * weight
    count = joined
  }

  private static func lanes(_ values: UnsafePointer<Float>, _ channels: Int) -> Lanes {
    var result = SIMD8<Float>.zero
    for channel in 0..<channels { result[channel] = values[channel] }
    return Lanes(result)
  }

  /// Writes means, what rounding lost of them, and biased variances to three arrays of `total`, from place `index` on.
  func store(at index: Int, of total: Int, into result: UnsafeMutablePointer<Float>, channels: Int) {
    for channel in 0..<channels {
      let rounded = Float(mean[channel])
      result[index + channel] = rounded
      result[total + index + channel] = Float(mean[channel] - Double(rounded))
      result[2 * total + index + channel] = Float(squares[channel] / count)
    }
  }
}

/// The terms the kernels take, for every instance: five arrays of `[N, C]` in scratch memory.
func withNormalizationTerms<Result>(
  _ statistics: NormalizationStatistics, weight: UnsafePointer<Float>, bias: UnsafePointer<Float>, epsilon: Float,
  _ layout: NormalizationLayout, in context: EvaluationContext, _ body: ((Int) -> ck_normalization_terms) -> Result
) -> Result {
  let count = layout.instances * layout.channels
  return context.withScratch(byteCount: 4 * count * MemoryLayout<Float>.stride) { scratch in
    let memory = scratch.assumingMemoryBound(to: Float.self)
    let (scale, offset, inverse, normalized) = (memory, memory + count, memory + 2 * count, memory + 3 * count)
    for index in 0..<count {
      let channel = index % layout.channels
      let term = NormalizationTerm(
        statistics, index, weight: weight[channel], bias: bias[channel], epsilon: epsilon)
      inverse[index] = Float(term.inverseDeviation)
      normalized[index] = Float(-term.lost * term.inverseDeviation)
      scale[index] = Float(term.scale)
      offset[index] = Float(term.offset)
    }
    return body { instance in
      let at = instance * layout.channels
      return ck_normalization_terms(
        mean: statistics.mean + at, scale: scale + at, offset: offset + at, inverse: inverse + at,
        normalized_offset: normalized + at)
    }
  }
}

/// The shared shape rule: input `[N, ..., C]`, weight and bias `[C]`.
func checkNormalization(_ name: String, _ input: Shape, _ weight: Shape, _ bias: Shape) {
  check(input.rank >= 3, "\(name): the input's shape \(input) is not [N, ..., C]")
  check(
    weight == [input.channels] && bias == [input.channels],
    "\(name): weight \(weight) and bias \(bias) do not fit the channels of \(input)")
  check(input.spatial.reduce(1, *) > 0, "\(name): shape \(input) has nothing to take a mean of")
}

/// The shared evaluation: statistics, then `leaky((x - mean) / deviation * weight + bias)`.
func evaluateNormalization(
  _ inputs: [TensorView], into outputs: [MutableTensorView], epsilon: Float, negativeSlope: Float,
  in context: EvaluationContext
) {
  let kernels = ck_normalization_kernels_for(context.instructionSet).pointee
  let layout = NormalizationLayout(inputs[0].shape)
  let (x, y, result) = (inputs[0].floats, outputs[0].floats, outputs[1].floats)
  normalizationStatistics(x, layout, into: result, in: context)
  let statistics = NormalizationStatistics(result, count: layout.instances * layout.channels)
  withNormalizationTerms(
    statistics, weight: inputs[1].floats, bias: inputs[2].floats, epsilon: epsilon, layout, in: context
  ) { terms in
    context.pool.run(tasks: layout.instances * layout.parts) { task in
      let part = layout.part(task)
      kernels.apply(y + part.offset, x + part.offset, part.rows, layout.channels, terms(part.instance), negativeSlope)
    }
  }
}
