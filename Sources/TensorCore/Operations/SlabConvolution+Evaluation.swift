import CKernels

/// How a result is cut into slabs along its first spatial axis.
struct SlabWalk {
  /// Planes of the result, and the positions of one.
  let extent: Int
  let plane: Int
  /// Planes of a slab; the last one may have fewer.
  let depth: Int
  private let kernel: Int
  private let padding: Int
  /// Positions of a slab, at most; never less for a larger result.
  private let positions: Int
  /// Tiles that share what they transform; slabs as high as a stack of them take up to so many times the positions.
  private static let stack = 4

  init(result: Shape, kernel: Int, padding: Int, slabPositions: Int) {
    // A slab has whole tiles: those of Winograd have 2 or 4 planes, or 2, 4 or 6 rows.
    let tile = result.rank > 4 ? 4 : 12
    extent = result[1]
    plane = max(1, result.spatial.dropFirst().reduce(1, *))
    let largest = max(slabPositions, tile * plane, min(Self.stack * slabPositions, Self.stack * tile * plane))
    depth = largest / plane / tile * tile
    positions = min(largest, extent * plane)
    self.kernel = kernel
    self.padding = padding
  }

  var count: Int { (extent + depth - 1) / depth }

  func output(_ slab: Int) -> Range<Int> { slab * depth..<min(extent, (slab + 1) * depth) }

  /// The planes of the sources that a slab reads.
  func input(_ slab: Int) -> Range<Int> {
    let output = output(slab)
    return max(0, output.lowerBound - padding)..<min(extent, output.upperBound - padding + kernel - 1)
  }

  /// Positions by which the result must be ahead of a source whose memory it takes.
  var lead: Int { positions + padding * plane }

  /// Positions of a source that one slab reads, made in blocks of `stride` planes; never less for a larger result.
  func heldPositions(stride: Int) -> Int { min(positions + (kernel - 1 + stride - 1) * plane, extent * plane) }
}

/// The plans for the slabs of one instance. The algorithms are those of the uncut operations, and so are the packed weights.
private struct SlabPlans {
  struct Slab {
    var output: Range<Int>
    var input: Range<Int>
    var plan: ck_convolution_plan
    /// Planes of the upsampled tensor that the buffer holds, a copy of the last ones of the slab before among them.
    var held = 0..<0
    /// Planes of the upsampling's source that are new.
    var added = 0..<0
    var upsamplingPlan: ck_convolution_plan?
  }

  var whole: ck_convolution_plan
  var wholeUpsampling: ck_convolution_plan?
  var slabs: [Slab] = []

  init(
    _ operation: SlabConvolution, _ inputs: [Shape], _ walk: SlabWalk, in context: EvaluationContext
  ) {
    let composed = operation.composed
    let arguments = operation.composedShapes(inputs)
    let source = composed.sources.shape(of: arguments, of: SlabConvolution.name)
    let weight = arguments[composed.sources.inputCount]
    let result = composed.shapes(of: arguments)[0]
    whole = composed.geometry.plan(
      composed.geometry.kernelShape(input: source, output: result, weight: weight), CK_CONVOLUTION_FORWARD,
      isPlain: composed.sources.isPlain, in: context)
    func cut(_ shape: Shape, _ planes: Int) -> Shape { Shape([1, planes] + shape.extents[2...]) }
    func plan(
      _ geometry: ConvolutionGeometry, _ input: Shape, _ output: Shape, _ weight: Shape, _ isPlain: Bool,
      like whole: ck_convolution_plan
    ) -> ck_convolution_plan {
      var geometry = geometry
      geometry.algorithm = ConvolutionAlgorithm(whole.algorithm)
      return geometry.plan(
        geometry.kernelShape(input: input, output: output, weight: weight), whole.pass, isPlain: isPlain, in: context)
    }
    for slab in 0..<walk.count {
      let (output, input) = (walk.output(slab), walk.input(slab))
      var geometry = composed.geometry
      geometry.paddingLower[0] += input.lowerBound - output.lowerBound
      var cutPlan = plan(
        geometry, cut(source, input.count), cut(result, output.count), weight, composed.sources.isPlain, like: whole)
      // Slabs leave the caches as the whole result does.
      cutPlan.streams = whole.streams
      slabs.append(Slab(output: output, input: input, plan: cutPlan))
    }
    guard let upsampling = operation.upsampling else { return }
    let stride = upsampling.composed.geometry.stride[0]
    let upsamplingWeight = inputs[upsampling.source.inputCount]
    func upsamplingPlan(_ fine: Shape, _ coarse: Shape, like whole: ck_convolution_plan?) -> ck_convolution_plan {
      let geometry = upsampling.composed.geometry
      let isPlain = upsampling.source == .plain
      guard let whole else {
        return geometry.plan(
          geometry.kernelShape(input: fine, output: coarse, weight: upsamplingWeight), CK_CONVOLUTION_INPUT_GRADIENT,
          isPlain: isPlain, in: context)
      }
      return plan(geometry, fine, coarse, upsamplingWeight, isPlain, like: whole)
    }
    wholeUpsampling = upsamplingPlan(arguments[0], inputs[0], like: nil)
    var end = 0
    for index in slabs.indices {
      let last = max(end, (slabs[index].input.upperBound + stride - 1) / stride)
      slabs[index].held = slabs[index].input.lowerBound..<last * stride
      slabs[index].added = end..<last
      end = last
      guard !slabs[index].added.isEmpty else { continue }
      let count = slabs[index].added.count
      var cutPlan = upsamplingPlan(cut(arguments[0], count * stride), cut(inputs[0], count), like: wholeUpsampling)
      // What was upsampled is read next.
      cutPlan.streams = 0
      slabs[index].upsamplingPlan = cutPlan
    }
  }
}

/// A source that is read from any plane of any instance on.
private struct SlabSource {
  let source: ck_convolution_source
  /// Terms of one instance after another, `[N, 3, C]`.
  let terms: UnsafePointer<Float>?
  let planeFloats: Int
  let instanceFloats: Int

  init(_ kind: ConvolutionSource, _ inputs: [TensorView], termsAt memory: inout UnsafeMutablePointer<Float>) {
    source = kind.kernelSource(inputs)
    let shape = inputs[0].shape
    planeFloats = shape.extents[2...].reduce(1, *)
    instanceFloats = shape[1] * planeFloats
    guard let terms = source.terms else {
      self.terms = nil
      return
    }
    let (instances, channels) = (shape[0], shape.channels)
    for instance in 0..<instances {
      for part in 0..<3 {
        (memory + (instance * 3 + part) * channels).update(
          from: terms + (part * instances + instance) * channels, count: channels)
      }
    }
    self.terms = UnsafePointer(memory)
    memory += 3 * instances * channels
  }

  /// Floats of the terms of all instances.
  static func termCount(_ kind: ConvolutionSource, _ inputs: [Shape]) -> Int { kind == .plain ? 0 : inputs[1].count }

  func kernelSource(instance: Int, plane: Int) -> ck_convolution_source {
    var result = source
    result.values += instance * instanceFloats + plane * planeFloats
    if let terms { result.terms = terms + instance * 3 * Int(source.channels) }
    return result
  }
}

extension TensorView {
  fileprivate func overlaps(_ other: MutableTensorView) -> Bool {
    let end = bytes + count * elementType.byteCount, otherEnd = other.bytes + other.count * other.elementType.byteCount
    return bytes < UnsafeRawPointer(otherEnd) && UnsafeRawPointer(other.bytes) < end
  }
}

extension SlabConvolution {
  func walk(of inputs: [Shape]) -> SlabWalk {
    let arguments = composedShapes(inputs)
    let weight = arguments[composed.sources.inputCount]
    return SlabWalk(
      result: composed.shapes(of: arguments)[0], kernel: weight[2], padding: composed.geometry.paddingLower[0],
      slabPositions: slabPositions)
  }

  /// The size of the result, all instances together, in whole slabs.
  package func slabCount(of inputs: [Shape]) -> Int {
    let walk = walk(of: inputs)
    return inputs[0][0] * walk.extent * walk.plane / slabPositions
  }

  /// Floats of terms, turned to lie instance by instance.
  private func termCount(_ inputs: [Shape]) -> Int {
    let own = zip(composed.sources, composed.sources.grouped(composedShapes(inputs))).reduce(0) {
      $0 + SlabSource.termCount($1.0, $1.1)
    }
    return own + (upsampling.map { SlabSource.termCount($0.source, inputs) } ?? 0)
  }

  /// Floats of what is held of the upsampled tensor.
  private func heldCount(_ inputs: [Shape], _ walk: SlabWalk) -> Int {
    upsampling.map {
      walk.heldPositions(stride: $0.composed.geometry.stride[0]) * composedShapes(inputs)[0].channels
    } ?? 0
  }

  /// Also enough for a pass of its own for the statistics, which some plans need, and for all at once.
  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int {
    let walk = walk(of: inputs)
    let plans = SlabPlans(self, inputs, walk, in: context)
    let ofInstance = plans.slabs.reduce(0) { $0 + Int($1.plan.statistics_records) * $1.plan.statistics_floats }
    let ofTask = plans.slabs.map { max($0.plan.scratch_floats, $0.upsamplingPlan?.scratch_floats ?? 0) }.max() ?? 0
    let counts =
      [
        termCount(inputs), heldCount(inputs, walk), plans.whole.packed_floats,
        plans.wholeUpsampling?.packed_floats ?? 0,
        composed.givesStatistics ? inputs[0][0] * ofInstance : 0,
      ] + [Int](repeating: ofTask, count: context.pool.threadCount)
    let statistics = composed.givesStatistics ? NormalizationLayout(shapes(of: inputs)[0]).scratchByteCount : 0
    let inSlabs = counts.reduce(statistics) { $0 + ScratchMemory.size(of: $1 * MemoryLayout<Float>.stride) }
    return upsampling == nil ? max(inSlabs, composed.scratchByteCount(of: inputs, in: context)) : inSlabs
  }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    // Slabs save nothing where the result has memory of its own; at once it is faster.
    guard upsampling != nil || inputs.contains(where: { $0.overlaps(outputs[0]) }) else {
      return composed.evaluate(inputs, into: outputs, in: context)
    }
    let kernels = context.convolutionKernels
    let shapes = inputs.map(\.shape)
    let walk = walk(of: shapes)
    let plans = SlabPlans(self, shapes, walk, in: context)
    let floatSize = MemoryLayout<Float>.stride
    context.withScratch(byteCount: termCount(shapes) * floatSize) { terms in
      var terms = terms.assumingMemoryBound(to: Float.self)
      let rest = Array(inputs[upsamplingInputCount...])
      let readSources = upsampling == nil ? composed.sources : Array(composed.sources.dropFirst())
      let sources = zip(readSources, readSources.grouped(rest)).map { SlabSource($0, $1, termsAt: &terms) }
      let upsampled = upsampling.map { upsampling in
        UpsampledSlabs(
          source: SlabSource(upsampling.source, inputs, termsAt: &terms),
          planeFloats: composedShapes(shapes)[0].extents[2...].reduce(1, *),
          channels: composedShapes(shapes)[0].channels,
          bias: upsamplingHasBias ? inputs[upsampling.source.inputCount + 1].floats : nil)
      }
      let weights = Array(rest[readSources.inputCount...])
      context.withScratch(byteCount: heldCount(shapes, walk) * floatSize) { buffer in
        withPackedUpsampling(inputs, plans, kernels, context) { packedUpsampling in
          context.withPackedWeight(kernels, plans.whole, weights[0]) { packed in
            let instances = Array(repeating: plans.slabs, count: shapes[0][0])
            context.withMomentRecords(instances.joined().map(\.plan), isWanted: composed.givesStatistics) { records in
              let result = outputs[0]
              let (channels, resultPlane) = (result.shape.channels, walk.plane * result.shape.channels)
              for (instance, slabs) in instances.enumerated() {
                for (index, slab) in slabs.enumerated() {
                  var parts = sources.map { $0.kernelSource(instance: instance, plane: slab.input.lowerBound) }
                  if let upsampled, let packedUpsampling {
                    let memory = buffer.assumingMemoryBound(to: Float.self)
                    upsampled.fill(
                      memory, slab, after: index > 0 ? slabs[index - 1].held : 0..<0, instance: instance,
                      packedUpsampling, kernels, context)
                    parts.insert(upsampled.kernelSource(memory), at: 0)
                  }
                  let plane = instance * walk.extent + slab.output.lowerBound
                  let values = result.floats + plane * resultPlane
                  context.runTasks(
                    kernels, slab.plan,
                    input: ck_convolution_input(count: Int32(parts.count), sources: (parts[0], parts[parts.count - 1])),
                    packed: packed, bias: composed.hasBias ? weights[1].floats : nil,
                    output: ck_convolution_output(
                      values, channels: channels,
                      statistics: records.isEmpty ? nil : records[instance * slabs.count + index].values))
                }
              }
              guard composed.givesStatistics else { return }
              if records.isEmpty {
                normalizationStatistics(
                  result.floats, NormalizationLayout(result.shape), into: outputs[1].floats, in: context)
              } else {
                let count = plans.slabs.count
                context.joinMomentRecords(kernels, into: outputs[1]) { instance in
                  records[instance * count..<(instance + 1) * count].map { ($0, 0) }
                }
              }
            }
          }
        }
      }
    }
  }

  private func withPackedUpsampling(
    _ inputs: [TensorView], _ plans: SlabPlans, _ kernels: ck_convolution_kernels, _ context: EvaluationContext,
    _ body: (UnsafePointer<Float>?) -> Void
  ) {
    guard let upsampling, let whole = plans.wholeUpsampling else { return body(nil) }
    context.withPackedWeight(kernels, whole, inputs[upsampling.source.inputCount], body)
  }
}

/// The upsampled tensor, of which one slab exists at a time.
private struct UpsampledSlabs {
  let source: SlabSource
  let planeFloats: Int
  let channels: Int
  let bias: UnsafePointer<Float>?

  /// Fills `memory`, which holds the planes `before`, with the planes that `slab` reads.
  func fill(
    _ memory: UnsafeMutablePointer<Float>, _ slab: SlabPlans.Slab, after before: Range<Int>, instance: Int,
    _ packed: UnsafePointer<Float>, _ kernels: ck_convolution_kernels, _ context: EvaluationContext
  ) {
    let kept = max(slab.held.lowerBound, before.lowerBound)..<max(slab.held.lowerBound, before.upperBound)
    if !kept.isEmpty {
      let shift = (kept.lowerBound - before.lowerBound) * planeFloats, count = kept.count * planeFloats
      if shift >= count {
        context.pool.run(count: count, grain: pointwiseGrain) { range in
          (memory + range.lowerBound).update(from: memory + shift + range.lowerBound, count: range.count)
        }
      } else {
        memory.update(from: memory + shift, count: count)
      }
    }
    guard let plan = slab.upsamplingPlan else { return }
    let at = memory + kept.count * planeFloats
    let input = source.kernelSource(instance: instance, plane: slab.added.lowerBound)
    context.runTasks(
      kernels, plan, input: ck_convolution_input(count: 1, sources: (input, input)), packed: packed, bias: bias,
      output: ck_convolution_output(at, channels: channels))
  }

  /// What the convolution of a slab reads: all that is held, from its first plane on.
  func kernelSource(_ memory: UnsafePointer<Float>) -> ck_convolution_source {
    ck_convolution_source(values: memory, channels: Int32(channels), terms: nil, slope: 1)
  }
}
