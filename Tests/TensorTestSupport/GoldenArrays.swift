import Foundation
import HDF5Files
import Testing

extension Golden {
  /// A named array of an HDF5 file, such as `weights.h5` and `state_dict/seg_layers.0.weight`, as 32-bit floats.
  package static func array(_ name: String, in file: URL) throws -> (shape: [Int], elements: [Float]) {
    let array = try HDF5File.open(file.path).root.read(name, as: Float.self)
    return (array.shape, array.elements)
  }
}

/// Compares two arrays element by element and records an issue that names the worst element.
///
/// Shapes come first, then finiteness (a NaN or infinity on either side fails unless both are the same infinity), then
/// every difference. Comparing nothing is a failure. An element passes if it differs by at most
/// `absolute + relativeToMaximum * max |expected|`.
/// - Returns: the largest difference, for reports; infinity where the arrays cannot be compared.
@discardableResult
package func expectClose(
  _ actual: [Float], shape actualShape: [Int], _ expected: [Float], shape expectedShape: [Int],
  absolute: Float, relativeToMaximum: Float, _ comment: @autoclosure () -> String = "",
  sourceLocation: SourceLocation = #_sourceLocation
) -> Float {
  func fail(_ reason: String) -> Float {
    let note = comment()
    Issue.record(Comment(rawValue: note.isEmpty ? reason : note + ": " + reason), sourceLocation: sourceLocation)
    return .infinity
  }
  guard actualShape == expectedShape else {
    return fail("shape \(actualShape), expected \(expectedShape)")
  }
  let count = expectedShape.reduce(1, *)
  guard actual.count == count, expected.count == count else {
    return fail("\(actual.count) and \(expected.count) elements, but the shape \(expectedShape) has \(count)")
  }
  guard count > 0 else { return fail("nothing to compare") }

  func position(_ index: Int) -> [Int] {
    var rest = index
    var position: [Int] = []
    for length in expectedShape.reversed() {
      position.insert(rest % length, at: 0)
      rest /= length
    }
    return position
  }

  var largest: Float = 0
  for value in expected where value.isFinite { largest = max(largest, abs(value)) }
  let tolerance = absolute + relativeToMaximum * largest
  var worst = 0
  var worstDifference: Float = -1
  var failures = 0
  for index in 0..<count {
    let (a, e) = (actual[index], expected[index])
    if a == e {
      if worstDifference < 0 { (worst, worstDifference) = (index, 0) }
      continue
    }
    guard a.isFinite, e.isFinite else {
      return fail("element \(position(index)) is \(a), expected \(e)")
    }
    let difference = abs(a - e)
    if !(difference <= tolerance) { failures += 1 }
    if difference > worstDifference { (worst, worstDifference) = (index, difference) }
  }
  if failures > 0 {
    return fail(
      "\(failures) of \(count) elements differ by more than \(tolerance); the worst, \(position(worst)), is "
        + "\(actual[worst]), expected \(expected[worst]) (difference \(worstDifference))")
  }
  return worstDifference
}
