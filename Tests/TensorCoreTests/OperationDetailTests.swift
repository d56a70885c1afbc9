import CKernels
import Foundation
import TensorCore
import TensorTestSupport
import Testing

@Suite struct OperationDetailTests {
  private func atEveryLevel(_ operation: any TensorCore.Operation, _ inputs: [Tensor], _ body: ([Tensor]) -> Void) {
    for level in EvaluationContext.availableInstructionSets {
      body(operation.evaluated(inputs, in: EvaluationContext(pool: .shared, instructionSet: level)))
    }
  }

  private func worstUlps(_ operation: any TensorCore.Operation, _ values: [Float], _ body: (Double) -> Double) -> Double
  {
    var worst = 0.0
    atEveryLevel(operation, [Tensor(values, shape: [values.count])]) { outputs in
      for (x, y) in zip(values, outputs[0].elements()) {
        let expected = body(Double(x))
        let unit = Double(max(Float(abs(expected)).ulp, .leastNonzeroMagnitude))
        let error = abs(Double(y) - expected) / unit
        worst = error.isFinite ? max(worst, error) : .infinity
      }
    }
    return worst
  }

  @Test func exponentialIsWithinTwoUlps() {
    let values = (0..<200_000).map { -103 + Float($0) * (191.7 / 200_000) }
    #expect(worstUlps(Exponential(), values) { exp($0) } <= 2)
  }

  @Test func logarithmIsWithinTwoUlps() {
    var generator = RandomGenerator(seed: 3)
    let values = (0..<100_000).map { _ in exp(Float.random(in: -80...80, using: &generator)) }
    #expect(worstUlps(NaturalLogarithm(), values) { log($0) } <= 2)
    #expect(worstUlps(NaturalLogarithm(), (0..<50_000).map { 0.5 + Float($0) * 3e-5 }) { log($0) } <= 2)
  }

  @Test func specialValues() {
    let special: [Float] = [0, -1, .infinity, -.infinity, .nan, .leastNonzeroMagnitude * 700]
    let x = Tensor(special, shape: [6])
    atEveryLevel(NaturalLogarithm(), [x]) { outputs in
      let y = outputs[0].elements()
      #expect(y[0] == -.infinity && y[1].isNaN && y[2] == .infinity && y[3].isNaN && y[4].isNaN)
      #expect(abs(y[5] - log(.leastNonzeroMagnitude * 700)) < 1e-4)
    }
    atEveryLevel(Exponential(), [x]) { outputs in
      let y = outputs[0].elements()
      #expect(y[0] == 1 && y[2] == .infinity && y[3] == 0 && y[4].isNaN)
    }
    atEveryLevel(LeakyRectifier(negativeSlope: 0.01), [x]) { #expect($0[0].elements()[4].isNaN) }
    atEveryLevel(LargestElement(over: [0], keepingAxes: false), [x]) { #expect($0[0].scalar().isNaN) }
  }

  @Test func largeLogitsStayFinite() {
    let x = Tensor([1e4, -1e4, 0, 88, -120, 5000] as [Float], shape: [2, 3])
    #expect(x.logSoftmax().elements()[1] == -2e4)
    #expect(x.softmax().elements() == [1, 0, 0, 0, 0, 1])
    #expect(x.softplus().elements()[0] == 1e4 && x.softplus().elements()[1] == 0)
    #expect(x.logSigmoid().elements()[1] == -1e4)
    #expect(x.sigmoid().elements().allSatisfy { (0...1).contains($0) })
  }

  /// A mean of 1e4 under a standard deviation of 1, where sums of squares in float32 lose everything.
  @Test func normalizationKeepsSmallSpreadOnLargeMean() {
    let (rows, channels) = (5000, 19)
    var generator = RandomGenerator(seed: 8)
    let values = (0..<rows * channels).map { _ in 1e4 + Float.random(in: -1.7...1.7, using: &generator) }
    let x = Tensor(values, shape: [1, rows, channels])
    let (ones, zeros) = (Tensor(repeating: 1, shape: [channels]), Tensor(zeros: [channels]))
    atEveryLevel(InstanceNormalization(epsilon: 1e-5), [x, ones, zeros]) { outputs in
      let y = outputs[0].elements()
      var worst = 0.0
      for channel in 0..<channels {
        let places = stride(from: channel, to: values.count, by: channels)
        let mean = places.reduce(0) { $0 + Double(values[$1]) } / Double(rows)
        let variance =
          places.reduce(0) { $0 + (Double(values[$1]) - mean) * (Double(values[$1]) - mean) } / Double(rows)
        for place in places {
          let expected = (Double(values[place]) - mean) / (variance + 1e-5).squareRoot()
          worst = max(worst, abs(Double(y[place]) - expected))
        }
      }
      #expect(worst < 5e-6)
    }
  }

  @Test func meansKeepSmallSpreadOnLargeMean() {
    var generator = RandomGenerator(seed: 8)
    let values = (0..<90_000).map { _ in 1e4 + Float.random(in: -1.7...1.7, using: &generator) }
    let mean = values.reduce(0) { $0 + Double($1) } / 90_000
    atEveryLevel(Mean(over: [0], keepingAxes: false), [Tensor(values, shape: [90_000])]) {
      #expect($0[0].scalar() == Float(mean))
    }
    atEveryLevel(Mean(over: [0], keepingAxes: false), [Tensor(values, shape: [30_000, 3])]) { outputs in
      let all = outputs[0].elements().reduce(0) { $0 + Double($1) } / 3
      #expect(abs(all - mean) < 1e-3)
    }
  }

  @Test func fusedNormalizationEqualsComposed() {
    let x = TestInput.uniform([2, 5, 6, 7, 19], in: -3...4)
    let (weight, bias) = (TestInput.uniform([19], seed: 2), TestInput.uniform([19], seed: 3))
    let fused = x.instanceNormalized(weight: weight, bias: bias, epsilon: 1e-5, negativeSlope: 0.01)
    let composed = x.instanceNormalized(weight: weight, bias: bias, epsilon: 1e-5)
      .leakyRectified(negativeSlope: 0.01)
    #expect(fused.bytes == composed.bytes)
  }

  @Test func batchNormalizationTrainsAndEvaluates() {
    let x = TestInput.uniform([3, 4, 5, 2], in: -2...5)
    let (weight, bias) = (TestInput.uniform([2], seed: 2), TestInput.uniform([2], seed: 3))
    let (result, statistics) = x.batchNormalized(weight: weight, bias: bias, epsilon: 1e-5)
    let values = x.elements().map(Double.init)
    for channel in 0..<2 {
      let own = stride(from: channel, to: values.count, by: 2).map { values[$0] }
      let mean = own.reduce(0, +) / 60
      let variance = own.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 60
      #expect(abs(Double(statistics.mean.elements()[channel]) - mean) < 1e-6)
      #expect(abs(Double(statistics.variance.elements()[channel]) - variance) < 1e-5)
      let running = statistics.updating(
        runningMean: Tensor(zeros: [2]), runningVariance: Tensor(repeating: 1, shape: [2]))
      #expect(abs(Double(running.mean.elements()[channel]) - 0.1 * mean) < 1e-6)
      #expect(abs(Double(running.variance.elements()[channel]) - (0.9 + 0.1 * variance * 60 / 59)) < 1e-5)
    }
    let evaluated = x.batchNormalized(
      weight: weight, bias: bias, runningMean: statistics.mean, runningVariance: statistics.variance, epsilon: 1e-5)
    expectClose(evaluated, ReferenceArray(result), tolerance: 1e-5, "evaluation with the batch's own statistics")
  }

  @Test func dropoutKeepsTheMeanAndMovesTheGenerator() {
    var generator = RandomGenerator(seed: 5)
    let x = Tensor(repeating: 1, shape: [4, 10, 10, 50])
    let dropped = x.dropout(probability: 0.25, channelwise: false, generator: &generator)
    #expect(generator.position == 20_000)
    #expect(Set(dropped.elements()) == [0, 1 / 0.75])
    #expect(abs(dropped.mean().scalar() - 1) < 0.02)
    let channels = x.dropout(probability: 0.5, channelwise: true, generator: &generator)
    #expect(generator.position == 20_200)
    let sums = channels.sum(axes: [1, 2])
    #expect(Set(sums.elements()) == [0, 200])
    let none = x.dropout(probability: 0, channelwise: false, generator: &generator)
    #expect(none.elements() == x.elements())
    var again = RandomGenerator(seed: 5)
    #expect(x.dropout(probability: 0.25, channelwise: false, generator: &again).bytes == dropped.bytes)
  }

  @Test func largestMaskBreaksTiesByPlace() {
    let x = Tensor([1, 3, 3, -2, 3, 0] as [Float], shape: [6])
    #expect(LargestMask(count: 2)(x).elements() == [0, 1, 1, 0, 0, 0])
    #expect(LargestMask(count: 0)(x).elements() == [0, 0, 0, 0, 0, 0])
    #expect(LargestMask(count: 6)(x).elements() == [1, 1, 1, 1, 1, 1])
    #expect(x.meanOfLargest(count: 4).scalar() == 2.5)
    #expect(Tensor([-1, -3, -2] as [Float], shape: [3]).meanOfLargest(count: 2).scalar() == -1.5)
  }

  @Test func channelsTurnThereAndBack() {
    let x = TestInput.uniform([2, 3, 4, 5, 6])
    #expect(x.channelsLast().shape == [2, 4, 5, 6, 3])
    #expect(x.channelsLast().channelsFirst().bytes == x.bytes)
    let single = TestInput.uniform([2, 1, 4, 5])
    #expect(single.channelsLast().bytes == single.bytes)
  }
}
