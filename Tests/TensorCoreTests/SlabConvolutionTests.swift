import CKernels
import TensorCore
import TensorTestSupport
import Testing

/// Convolutions in slabs against the same convolutions at once.
@Suite struct SlabConvolutionTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var batch = 1
    /// Channels before and after upsampling; `nil` without.
    var upsampling: (from: Int, to: Int)?
    /// Channels of the source that is read from memory, if there is one.
    var other: Int?
    var output: Int
    var extents: [Int]
    var kernel: [Int]
    var stride: [Int]
    var isNormalized = true
    var givesStatistics = true
    var slabPositions: Int

    var testDescription: String {
      "\(batch)x\(upsampling.map { "\($0)" } ?? "")+\(other ?? 0)->\(output) \(extents) kernel \(kernel) by \(stride)"
    }

    var source: ConvolutionSource { isNormalized ? .normalized(negativeSlope: 0.01) : .plain }

    func composed(_ algorithm: ConvolutionAlgorithm) -> FusedConvolution {
      var geometry = ConvolutionGeometry(preserving: kernel)
      geometry.algorithm = algorithm
      return FusedConvolution(
        geometry, sources: (upsampling == nil ? [] : [.plain]) + (other == nil ? [] : [source]), hasBias: true,
        givesStatistics: givesStatistics)
    }

    var upsamplingOperation: FusedTransposedConvolution? {
      upsampling == nil ? nil : FusedTransposedConvolution(TransposedConvolution(stride: stride), source: source)
    }

    func slabs(_ algorithm: ConvolutionAlgorithm) -> SlabConvolution {
      SlabConvolution(
        composed(algorithm), upsampling: upsamplingOperation, upsamplingHasBias: true, slabPositions: slabPositions)
    }

    private func random(_ shape: Shape, _ seed: UInt64) -> Tensor {
      Tensor(randomValues(shape.count, seed: seed), shape: shape)
    }

    private func activation(_ extents: [Int], _ channels: Int, _ seed: UInt64) -> [Tensor] {
      [random(Shape([batch] + extents + [channels]), seed)]
        + (isNormalized ? [random([3, batch, channels], seed + 100)] : [])
    }

    /// Inputs of the upsampling and of the rest.
    func inputs() -> (upsampling: [Tensor], rest: [Tensor]) {
      var result: (upsampling: [Tensor], rest: [Tensor]) = ([], [])
      if let upsampling {
        result.upsampling =
          activation(zip(extents, stride).map { $0 / $1 }, upsampling.from, 1)
          + [random(Shape([upsampling.from, upsampling.to] + stride), 2), random([upsampling.to], 3)]
      }
      if let other { result.rest = activation(extents, other, 4) }
      result.rest += [random(Shape([output, (upsampling?.to ?? 0) + (other ?? 0)] + kernel), 5), random([output], 6)]
      return result
    }
  }

  static let cases = [
    Case(
      upsampling: (24, 16), other: 16, output: 16, extents: [18, 10, 12], kernel: [3, 3, 3], stride: [2, 2, 2],
      slabPositions: 500),
    Case(
      batch: 3, upsampling: (20, 17), other: 13, output: 19, extents: [10, 6, 14], kernel: [3, 3, 3],
      stride: [1, 2, 2],
      slabPositions: 1),
    Case(
      batch: 2, upsampling: (9, 32), other: 32, output: 32, extents: [20, 7, 9], kernel: [1, 3, 3], stride: [4, 1, 1],
      isNormalized: false, slabPositions: 600),
    Case(
      batch: 2, upsampling: (16, 24), output: 8, extents: [12, 8, 6], kernel: [3, 3, 1], stride: [2, 2, 2],
      givesStatistics: false, slabPositions: 1),
    Case(batch: 2, other: 32, output: 32, extents: [19, 9, 7], kernel: [3, 3, 3], stride: [], slabPositions: 300),
    Case(
      batch: 3, upsampling: (16, 16), other: 16, output: 16, extents: [26, 18], kernel: [3, 3], stride: [2, 2],
      slabPositions: 150),
    Case(
      batch: 2, other: 5, output: 5, extents: [17, 11], kernel: [5, 3], stride: [], isNormalized: false,
      slabPositions: 1),
  ]

  @Test(arguments: cases)
  func agreesWithTheUncutConvolution(_ test: Case) {
    let (upsampling, rest) = test.inputs()
    for level in EvaluationContext.availableInstructionSets {
      let context = EvaluationContext(pool: .shared, instructionSet: level)
      for algorithm in ConvolutionAlgorithm.allCases {
        let what = "\(String(cString: ck_instruction_set_name(level))) \(algorithm)"
        let upsampled = test.upsamplingOperation.map { $0.evaluated(upsampling, in: context) } ?? []
        let expected = test.composed(algorithm).evaluated(upsampled + rest, in: context)
        let actual = test.slabs(algorithm).evaluated(upsampling + rest, in: context)
        #expect(actual.count == expected.count && isSame(actual[0], expected[0]), "\(what)")
        if test.givesStatistics {
          expectClose(actual[1], ReferenceArray(expected[1]), tolerance: 2e-6, "\(what) statistics")
        }
      }
    }
  }

  /// The result begins the announced lead before a source and overwrites it from there: the same bits.
  @Test(arguments: cases)
  func overwritingWithALead(_ test: Case) {
    let (upsampling, rest) = test.inputs()
    let inputs = upsampling + rest
    let shapes = inputs.map(\.shape)
    for level in EvaluationContext.availableInstructionSets {
      let context = EvaluationContext(pool: .shared, instructionSet: level)
      for algorithm in ConvolutionAlgorithm.allCases {
        let operation = test.slabs(algorithm)
        let expected = operation.evaluated(inputs, in: context)
        let leads = inputs.indices.map { operation.overwritingLead(input: $0, with: 0, of: shapes) }
        // A source of the result's shape, and nothing else.
        #expect(leads.indices.filter { leads[$0] != nil } == inputs.indices.filter { shapes[$0] == expected[0].shape })
        for (input, lead) in leads.enumerated() {
          guard let lead else { continue }
          let what = "\(String(cString: ck_instruction_set_name(level))) \(algorithm) over input \(input)"
          let actual = evaluated(operation, inputs, over: input, lead: lead, in: context)
          #expect(isSame(actual[0], expected[0]), "\(what)")
          for (a, b) in zip(actual, expected).dropFirst() {
            expectClose(a, ReferenceArray(b), tolerance: 2e-6, "\(what), statistics")
          }
        }
      }
    }
  }

  /// The outputs, the first of which was written over an input from `lead` bytes before it on.
  private func evaluated(
    _ operation: SlabConvolution, _ inputs: [Tensor], over input: Int, lead: Int, in context: EvaluationContext
  ) -> [Tensor] {
    let shapes = operation.shapes(of: inputs.map(\.shape))
    let size = inputs[input].shape.count * MemoryLayout<Float>.stride
    let memory = Storage(byteCount: lead + size)
    (memory.pointer + lead).copyMemory(from: TensorView(inputs[input]).bytes, byteCount: size)
    var views = inputs.map(TensorView.init)
    views[input] = TensorView(shape: inputs[input].shape, elementType: .float32, bytes: memory.pointer + lead)
    let outputs = shapes.map { Tensor(uninitialized: $0, elementType: .float32) }
    var targets = outputs.map(MutableTensorView.init)
    targets[0] = MutableTensorView(shape: shapes[0], elementType: .float32, bytes: memory.pointer)
    operation.evaluate(views, into: targets, in: context)
    MutableTensorView(outputs[0]).bytes.copyMemory(from: memory.pointer, byteCount: size)
    withExtendedLifetime((memory, inputs)) {}
    return outputs
  }

  /// A plan for the largest shapes serves all: leads and what is held never shrink as shapes grow.
  @Test func leadsGrowWithShapes() {
    var generator = RandomGenerator(seed: 3)
    let operation = SlabConvolution(
      FusedConvolution(
        ConvolutionGeometry(preserving: [3, 3, 3]), sources: [.plain], hasBias: false, givesStatistics: false),
      upsampling: nil, upsamplingHasBias: false, slabPositions: 1000)
    func lead(_ extents: [Int]) -> Int {
      operation.overwritingLead(input: 0, with: 0, of: [Shape([2] + extents + [3]), [3, 3, 3, 3, 3]]) ?? -1
    }
    for _ in 0..<100 {
      let small = (0..<3).map { _ in Int.random(in: 1...30, using: &generator) }
      let large = small.map { $0 + Int.random(in: 0...9, using: &generator) }
      #expect(lead(small) > 0 && lead(small) <= lead(large), "\(small) \(large)")
    }
  }

  private func isSame(_ a: Tensor, _ b: Tensor) -> Bool { a.shape == b.shape && a.bytes == b.bytes }
}
