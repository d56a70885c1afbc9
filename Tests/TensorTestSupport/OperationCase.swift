import CKernels
import Testing
import TensorCore

/// An operation with inputs and an independent reference in double precision. One table of these drives every check
/// of operations, and a test holds the table to the list of operations.
package struct OperationCase: Sendable, CustomTestStringConvertible {
  package typealias Reference = @Sendable ([ReferenceArray]) -> [ReferenceArray]

  package var operation: any Operation
  /// What sets this case apart from others of its operation.
  package var note: String
  package var inputs: @Sendable () -> [Tensor]
  package var reference: Reference
  /// Inputs and outputs between which gradients are compared; the others must have none.
  package var differentiableInputs: Set<Int>
  package var differentiableOutputs: Set<Int>
  /// The largest difference allowed, relative to the largest expected element.
  package var tolerance: Double
  package var gradientTolerance: Double
  /// Other input shapes the operation takes, for the check of its range rule.
  package var otherShapes: [[Shape]]

  package init(
    _ operation: any Operation, _ note: String = "", inputs: @escaping @Sendable () -> [Tensor],
    differentiable: Set<Int> = [0], outputs: Set<Int> = [0], tolerance: Double = 1e-6,
    gradientTolerance: Double = 1e-5, otherShapes: [[Shape]] = [], reference: @escaping Reference
  ) {
    self.operation = operation
    self.note = note
    self.inputs = inputs
    self.reference = reference
    differentiableInputs = differentiable
    differentiableOutputs = outputs
    self.tolerance = tolerance
    self.gradientTolerance = gradientTolerance
    self.otherShapes = otherShapes
  }

  package var operationName: String { type(of: operation).name }
  package var testDescription: String { note.isEmpty ? operationName : "\(operationName): \(note)" }
}

/// Compares a tensor with a reference: shape, then finiteness, then every element; records the worst.
///
/// Comparing nothing is a failure, and NaN never passes. An element passes if it differs by at most
/// `tolerance * max |expected|`.
/// - Returns: the largest difference relative to the largest expected element.
@discardableResult
package func expectClose(
  _ actual: Tensor, _ expected: ReferenceArray, tolerance: Double, _ comment: @autoclosure () -> String,
  sourceLocation: SourceLocation = #_sourceLocation
) -> Double {
  expectClose(
    ReferenceArray(actual), expected, tolerance: tolerance, comment(), sourceLocation: sourceLocation)
}

/// Compares two arrays as `expectClose(_:_:tolerance:_:)` of a tensor does, at the given places or everywhere.
@discardableResult
package func expectClose(
  _ actual: ReferenceArray, _ expected: ReferenceArray, at places: [Int]? = nil, tolerance: Double,
  _ comment: @autoclosure () -> String, sourceLocation: SourceLocation = #_sourceLocation
) -> Double {
  func fail(_ reason: String) -> Double {
    Issue.record("\(comment()): \(reason)", sourceLocation: sourceLocation)
    return .infinity
  }
  guard actual.shape == expected.shape else { return fail("shape \(actual.shape), expected \(expected.shape)") }
  let places = places ?? Array(0..<expected.elements.count)
  guard !places.isEmpty else { return fail("there is nothing to compare") }
  let largest = places.reduce(0) { max($0, abs(expected.elements[$1])) }
  var (worst, worstPlace) = (-1.0, 0)
  for place in places {
    let (a, e) = (actual.elements[place], expected.elements[place])
    guard a.isFinite, e.isFinite else {
      return fail("element \(expected.shape.index(of: place)) is \(a), expected \(e)")
    }
    if abs(a - e) > worst { (worst, worstPlace) = (abs(a - e), place) }
  }
  guard worst <= tolerance * largest else {
    return fail(
      "element \(expected.shape.index(of: worstPlace)) is \(actual.elements[worstPlace]), expected "
        + "\(expected.elements[worstPlace]); the difference is \(worst / max(largest, .leastNonzeroMagnitude)) of the "
        + "largest element, allowed is \(tolerance)")
  }
  return largest > 0 ? worst / largest : 0
}
