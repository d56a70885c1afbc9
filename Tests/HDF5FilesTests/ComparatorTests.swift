import TensorTestSupport
import Testing

/// The comparator must fail whenever it should.
@Suite struct ComparatorTests {
  private func compare(
    _ actual: [Float], _ expected: [Float], shape: [Int], expectedShape: [Int]? = nil, absolute: Float = 0.1,
    relativeToMaximum: Float = 0
  ) -> Float {
    expectClose(
      actual, shape: shape, expected, shape: expectedShape ?? shape, absolute: absolute,
      relativeToMaximum: relativeToMaximum)
  }

  @Test func passesWithinTolerance() {
    #expect(compare([1, 2, 3], [1, 2.05, 3], shape: [3]) < 0.06)
    #expect(compare([100, 1], [100, 2], shape: [2], absolute: 0, relativeToMaximum: 0.01) == 1)
    #expect(compare([.infinity, 0], [.infinity, 0], shape: [2]) == 0)
    #expect(compare([7], [7], shape: []) == 0)
  }

  @Test func failsOnDifference() {
    withKnownIssue { _ = compare([1, 2, 3], [1, 2, 3.2], shape: [3]) }
    withKnownIssue { _ = compare([100, 1], [100, 2.1], shape: [2], absolute: 0, relativeToMaximum: 0.01) }
  }

  @Test func failsOnShape() {
    withKnownIssue { _ = compare([1, 2], [1, 2], shape: [2], expectedShape: [1, 2]) }
    withKnownIssue { _ = compare([1, 2], [1, 2], shape: [3]) }
  }

  @Test func failsOnNotANumber() {
    withKnownIssue { _ = compare([.nan], [.nan], shape: [1]) }
    withKnownIssue { _ = compare([.nan, 1], [0, 1], shape: [2]) }
    withKnownIssue { _ = compare([0], [.nan], shape: [1]) }
    withKnownIssue { _ = compare([.infinity], [-.infinity], shape: [1]) }
    withKnownIssue { _ = compare([.infinity], [3], shape: [1], absolute: .infinity) }
  }

  @Test func failsOnNothing() {
    withKnownIssue { _ = compare([], [], shape: [0]) }
    withKnownIssue { _ = compare([], [], shape: [2, 0]) }
  }
}
