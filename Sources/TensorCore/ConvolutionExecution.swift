import CKernels

extension ConvolutionGeometry {
  /// How the kernels will run one pass; `isPlain` where the source is one tensor, read as it is.
  func plan(
    _ shape: ck_convolution_shape, _ pass: ck_convolution_pass, isPlain: Bool = true, in context: EvaluationContext
  ) -> ck_convolution_plan {
    var plan = ck_convolution_plan()
    withUnsafePointer(to: shape) {
      context.convolutionKernels.plan(
        $0, pass, (algorithm ?? .configured).kernelValue, isPlain ? 1 : 0, Int32(context.pool.threadCount), &plan)
    }
    return plan
  }
}

extension ck_convolution_output {
  init(_ destinations: [MutableTensorView], statistics: UnsafeMutablePointer<Float>? = nil) {
    let last = destinations[destinations.count - 1]
    self.init(
      count: Int32(destinations.count), values: (destinations[0].floats, last.floats),
      channels: (Int32(destinations[0].shape.channels), Int32(last.shape.channels)), statistics: statistics,
      gradient: nil)
  }

  /// One result of `channels` channels.
  init(
    _ values: UnsafeMutablePointer<Float>, channels: Int, statistics: UnsafeMutablePointer<Float>? = nil,
    gradient: UnsafePointer<ck_convolution_gradient>? = nil
  ) {
    self.init(
      count: 1, values: (values, values), channels: (Int32(channels), Int32(channels)), statistics: statistics,
      gradient: gradient)
  }
}

/// The records of moments that one run of a plan fills.
struct MomentRecords: @unchecked Sendable {
  var plan: ck_convolution_plan
  var values: UnsafeMutablePointer<Float>

  /// The records of an instance: `count` of `stride` floats. A record has 16 floats, the first of which says how many
  /// positions it counts, and three parts of `padded` floats, one for each channel.
  func values(
    of instance: Int, _ kernels: ck_convolution_kernels
  ) -> (values: UnsafePointer<Float>, count: Int, stride: Int, padded: Int) {
    var (first, last): (Int32, Int32) = (0, 0)
    withUnsafePointer(to: plan) { kernels.statistics_range($0, Int32(instance), &first, &last) }
    let stride = plan.statistics_floats
    return (UnsafePointer(values) + Int(first) * stride, Int(last - first), stride, (stride - 16) / 3)
  }
}

extension EvaluationContext {
  var convolutionKernels: ck_convolution_kernels { ck_convolution_kernels_for(instructionSet).pointee }

  /// Runs a forward or input-gradient plan: packs the weights, then fills the destinations, and the statistics
  /// `[3, N, C]` of the result where they are wanted.
  func runConvolution(
    _ plan: ck_convolution_plan, input: ck_convolution_input, weight: TensorView,
    bias: TensorView?, destinations: [MutableTensorView], statistics: MutableTensorView? = nil
  ) {
    let kernels = convolutionKernels
    withMomentRecords([plan], isWanted: statistics != nil) { records in
      let output = ck_convolution_output(destinations, statistics: records.first?.values)
      withPackedWeight(kernels, plan, weight) { packed in
        runTasks(kernels, plan, input: input, packed: packed, bias: bias?.floats, output: output)
      }
      guard let statistics else { return }
      if records.isEmpty {
        normalizationStatistics(
          destinations[0].floats, NormalizationLayout(destinations[0].shape), into: statistics.floats, in: self)
      } else {
        joinMomentRecords(kernels, into: statistics) { instance in records.map { ($0, instance) } }
      }
    }
  }

  /// Runs a plan whose one result is a gradient that passes on as `gradient` says: packs the weights, then fills the
  /// destination, and the sums `[2, N, C]` of what is written where they are wanted.
  func runInputGradient(
    _ plan: ck_convolution_plan, of outputGradient: TensorView, weight: TensorView, _ gradient: ck_convolution_gradient,
    into destination: MutableTensorView, sums: MutableTensorView?
  ) {
    let kernels = convolutionKernels
    let input = [ConvolutionSource.plain].kernelInput([outputGradient])
    withMomentRecords([plan], isWanted: sums != nil) { records in
      withUnsafePointer(to: gradient) { gradient in
        let output = ck_convolution_output(
          destination.floats, channels: destination.shape.channels, statistics: records.first?.values,
          gradient: gradient)
        withPackedWeight(kernels, plan, weight) { packed in
          runTasks(kernels, plan, input: input, packed: packed, bias: nil, output: output)
        }
      }
      guard let sums, let records = records.first else { return }
      let (instances, channels, result) = (sums.shape[1], sums.shape[2], sums.floats)
      pool.run(tasks: instances) { instance in
        let pieces = records.values(of: instance, kernels)
        for channel in 0..<channels {
          var (sum, product) = (0.0, 0.0)
          for record in 0..<pieces.count where pieces.values[record * pieces.stride] > 0 {
            let own = pieces.values + record * pieces.stride + 16 + channel
            sum += Double(own[0])
            product += Double(own[pieces.padded])
          }
          result[instance * channels + channel] = Float(sum)
          result[(instances + instance) * channels + channel] = Float(product)
        }
      }
    }
  }

  /// Runs all tasks of a forward or input-gradient plan.
  func runTasks(
    _ kernels: ck_convolution_kernels, _ plan: ck_convolution_plan, input: ck_convolution_input,
    packed: UnsafePointer<Float>, bias: UnsafePointer<Float>?, output: ck_convolution_output
  ) {
    pool.run(tasks: Int(plan.tasks)) { task in
      withScratch(byteCount: plan.scratch_floats * MemoryLayout<Float>.stride) { scratch in
        withUnsafePointer(to: plan) { plan in
          withUnsafePointer(to: input) { input in
            withUnsafePointer(to: output) { output in
              kernels.run(plan, input, packed, bias, output, scratch.assumingMemoryBound(to: Float.self), Int32(task))
            }
          }
        }
      }
    }
  }

  /// Empty records of moments for each plan; none where they are not wanted or the plans can't fill any.
  func withMomentRecords(
    _ plans: [ck_convolution_plan], isWanted: Bool, _ body: ([MomentRecords]) -> Void
  ) {
    let counts = plans.map { isWanted ? Int($0.statistics_records) * $0.statistics_floats : 0 }
    withScratch(byteCount: counts.reduce(0, +) * MemoryLayout<Float>.stride) { memory in
      var next = memory.assumingMemoryBound(to: Float.self)
      var records: [MomentRecords] = []
      for (plan, count) in zip(plans, counts) where count > 0 {
        for record in 0..<Int(plan.statistics_records) { next[record * plan.statistics_floats] = 0 }
        records.append(MomentRecords(plan: plan, values: next))
        next += count
      }
      body(records)
    }
  }

  /// The weight in the form the kernels read: kept with a weight that does not change, else in scratch memory.
  func withPackedWeight(
    _ kernels: ck_convolution_kernels, _ plan: ck_convolution_plan, _ weight: TensorView,
    _ body: (UnsafePointer<Float>) -> Void
  ) {
    let byteCount = plan.packed_floats * MemoryLayout<Float>.stride
    let values = weight.floats
    func fill(_ memory: UnsafeMutableRawPointer) {
      let packed = memory.assumingMemoryBound(to: Float.self)
      pool.run(tasks: Int(plan.pack_tasks)) { task in
        withUnsafePointer(to: plan) { kernels.pack($0, values, packed, Int32(task)) }
      }
    }
    let key = PackedForms.Key(plan, instructionSet)
    if let kept = weight.packedForms?.form(key, byteCount: byteCount, fill) {
      body(kept.pointer.assumingMemoryBound(to: Float.self))
      withExtendedLifetime(kept) {}
    } else {
      withScratch(byteCount: byteCount) { memory in
        fill(memory)
        body(memory.assumingMemoryBound(to: Float.self))
      }
    }
  }

  /// Joins the records of moments that the tasks of plans left, in their order.
  ///
  /// - Parameter parts: the records that an instance of the result has a share in, and its number in their plan.
  func joinMomentRecords(
    _ kernels: ck_convolution_kernels, into statistics: MutableTensorView,
    _ parts: (_ instance: Int) -> [(records: MomentRecords, instance: Int)]
  ) {
    joinMoments(
      instances: statistics.shape[1], channels: statistics.shape[2], into: statistics.floats, in: self
    ) { instance, channels, joined in
      for part in parts(instance) {
        let piece = part.records.values(of: part.instance, kernels)
        for record in 0..<piece.count {
          let own = piece.values + record * piece.stride
          guard own[0] > 0 else { continue }
          let values = own + 16 + channels.lowerBound
          joined.join(
            count: Int(own[0]), shifts: values, sums: values + piece.padded, squares: values + 2 * piece.padded,
            channels: channels.count)
        }
      }
    }
  }

  /// Runs a weight-gradient plan: what the tasks sum or keep, then what becomes of it, in order.
  func runWeightGradient(
    _ plan: ck_convolution_plan, input: ck_convolution_input, outputGradient: ck_convolution_source,
    result: MutableTensorView
  ) {
    let kernels = convolutionKernels
    let result = result.floats
    withScratch(byteCount: plan.partial_floats * MemoryLayout<Float>.stride) { partials in
      let partials = partials.assumingMemoryBound(to: Float.self)
      pool.run(tasks: Int(plan.tasks)) { task in
        withScratch(byteCount: plan.scratch_floats * MemoryLayout<Float>.stride) { scratch in
          withUnsafePointer(to: plan) { plan in
            withUnsafePointer(to: input) { input in
              withUnsafePointer(to: outputGradient) { gradient in
                kernels.accumulate(
                  plan, input, gradient, partials, scratch.assumingMemoryBound(to: Float.self), Int32(task))
              }
            }
          }
        }
      }
      pool.run(tasks: Int(plan.reduce_tasks)) { task in
        withScratch(byteCount: plan.scratch_floats * MemoryLayout<Float>.stride) { scratch in
          withUnsafePointer(to: plan) {
            kernels.reduce($0, partials, result, scratch.assumingMemoryBound(to: Float.self), Int32(task))
          }
        }
      }
    }
  }
}
