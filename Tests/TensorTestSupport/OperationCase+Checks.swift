import Autograd
import CKernels
import TensorCore
import Testing

extension OperationCase {
  /// The evaluation at every instruction-set level this processor has against the reference.
  package func checkForward() {
    let inputs = inputs()
    let expected = reference(inputs.map { ReferenceArray($0) })
    for level in EvaluationContext.availableInstructionSets {
      let context = EvaluationContext(pool: .shared, instructionSet: level)
      let outputs = operation.evaluated(inputs, in: context)
      guard outputs.count == expected.count else {
        Issue.record("\(testDescription): \(outputs.count) outputs, the reference has \(expected.count)")
        return
      }
      for (position, output) in outputs.enumerated() {
        expectClose(
          output, expected[position], tolerance: tolerance,
          "\(testDescription), output \(position), \(String(cString: ck_instruction_set_name(level)))")
      }
    }
  }

  /// The same bits for 1, 2 and 4 threads, at every level.
  package func checkThreads() {
    let inputs = inputs()
    for level in EvaluationContext.availableInstructionSets {
      let results = [1, 2, 4].map { threads in
        operation.evaluated(
          inputs, in: EvaluationContext(pool: WorkerPool(threads: threads), instructionSet: level))
      }
      for other in results.dropFirst() {
        for (position, (a, b)) in zip(results[0], other).enumerated() {
          #expect(
            a.bytes == b.bytes,
            "\(testDescription), output \(position), \(String(cString: ck_instruction_set_name(level)))")
        }
      }
    }
  }

  /// The gradient rule against central differences of the reference, under random weights on the outputs.
  ///
  /// Large inputs are checked at a few random elements each, since every element costs two walks of the reference.
  package func checkGradients() {
    let inputs = inputs()
    let tape = Tape()
    let followed = inputs.map { $0.elementType == .float32 ? tape.follow($0) : $0 }
    let outputs = operation.apply(followed)
    let sources = followed.indices.filter { followed[$0].isFollowed }
    guard !sources.isEmpty else {
      #expect(differentiableInputs.isEmpty && outputs.allSatisfy { !$0.isFollowed }, "\(testDescription)")
      return
    }
    let size = (inputs + outputs).reduce(0) { $0 + $1.count }
    let sampleCount = min(150, max(4, 200_000 / max(size, 1)))
    var generator = RandomGenerator(seed: 99)
    var weights: [Int: Tensor] = [:]
    for position in differentiableOutputs.sorted() {
      weights[position] = TestInput.uniform(outputs[position].shape, seed: generator.next())
    }
    let results = weights.sorted { $0.key < $1.key }.map { (value: outputs[$0.key], seed: Optional($0.value)) }
    let found = tape.optionalGradients(of: results, for: sources.map { followed[$0] })
    let weightArrays = weights.mapValues { ReferenceArray($0) }
    func weightedSum(_ arguments: [ReferenceArray]) -> Double {
      let outputs = reference(arguments)
      return weightArrays.reduce(0) { sum, weight in
        sum + zip(weight.value.elements, outputs[weight.key].elements).reduce(0) { $0 + $1.0 * $1.1 }
      }
    }
    let base = inputs.map { ReferenceArray($0) }
    for (position, gradient) in zip(sources, found) {
      let label = "\(testDescription), gradient for input \(position)"
      guard differentiableInputs.contains(position) else {
        #expect(gradient == nil, "\(label): there should be none")
        continue
      }
      guard let gradient else {
        Issue.record("\(label): there is none")
        continue
      }
      var places = Array(base[position].elements.indices)
      if places.count > sampleCount { places = Array(places.shuffled(using: &generator).prefix(sampleCount)) }
      var expected = ReferenceArray(repeating: 0, shape: base[position].shape)
      let step = 1e-4
      for place in places {
        var arguments = base
        arguments[position].elements[place] += step
        let above = weightedSum(arguments)
        arguments[position].elements[place] -= 2 * step
        expected.elements[place] = (above - weightedSum(arguments)) / (2 * step)
      }
      expectClose(ReferenceArray(gradient), expected, at: places, tolerance: gradientTolerance, label)
    }
  }

  /// For ranges around the inputs' shapes the range rule gives ranges that contain the outputs' shapes, and exact
  /// ranges give exact ones.
  package func checkRanges() {
    let shapes = inputs().map(\.shape)
    let exact = operation.ranges(of: shapes.map { ShapeRange($0) })
    #expect(
      exact == operation.shapes(of: shapes).map { ShapeRange($0) }, "\(testDescription): exact ranges give \(exact)")
    var generator = RandomGenerator(seed: 5)
    for _ in 0..<20 {
      let family = [shapes] + otherShapes
      let ranges = shapes.indices.map { input in
        ShapeRange(
          shapes[input].extents.indices.map { axis in
            let extents = family.map { $0[input][axis] }
            let lower = max(0, (extents.min() ?? 0) - Int.random(in: 0...3, using: &generator))
            let upper = (extents.max() ?? 0) + Int.random(in: 0...3, using: &generator)
            return DimensionRange(lower, Int.random(in: 0..<5, using: &generator) == 0 ? nil : upper)
          })
      }
      let results = operation.ranges(of: ranges)
      for member in family {
        let outputs = operation.shapes(of: member)
        #expect(
          results.count == outputs.count && zip(results, outputs).allSatisfy { $0.contains($1) },
          "\(testDescription): ranges \(ranges) give \(results), the shapes \(member) inside give \(outputs)")
      }
    }
  }
}

extension Tensor {
  /// The elements' memory, byte for byte.
  package var bytes: [UInt8] {
    defer { withExtendedLifetime(self) {} }
    return Array(UnsafeRawBufferPointer(start: storage.pointer, count: count * elementType.byteCount))
  }
}
