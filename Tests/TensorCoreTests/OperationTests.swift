import Foundation
import TensorCore
import TensorTestSupport
import Testing

@Suite struct OperationTests {
  @Test(arguments: OperationCase.all)
  func agreesWithReference(_ operation: OperationCase) { operation.checkForward() }

  @Test(arguments: OperationCase.all)
  func gradientsAgreeWithDifferences(_ operation: OperationCase) { operation.checkGradients() }

  @Test(arguments: OperationCase.all)
  func threadsChangeNothing(_ operation: OperationCase) { operation.checkThreads() }

  @Test(arguments: OperationCase.all)
  func rangesContainShapes(_ operation: OperationCase) { operation.checkRanges() }

  /// The table of cases is the list of operations: read from the sources, so that none can be forgotten.
  @Test func everyOperationHasACase() throws {
    let folder = URL(fileURLWithPath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Sources/TensorCore/Operations")
    let declaration = #/public struct (\w+): (?:\w+)?Operation\b/#
    var declared: Set<String> = []
    for file in try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil) {
      let source = try String(contentsOf: file, encoding: .utf8)
      for match in source.matches(of: declaration) { declared.insert(String(match.output.1)) }
    }
    #expect(declared.count > 40)
    #expect(declared == Set(OperationCase.all.map(\.operationName)))
  }
}
