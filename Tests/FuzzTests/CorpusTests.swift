import Foundation
import FuzzTargets
import TensorCore
import Testing

/// Replays what fuzzing left: files that once stopped a reader, and files that reach far into it. `make fuzz` makes more.
@Suite struct CorpusTests {
  static let corpus = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Corpus")

  @Test(arguments: FuzzTarget.allCases)
  func everyFileIsReadOrRefused(target: FuzzTarget) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("fuzz-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let inputs = Self.corpus.appendingPathComponent(target.rawValue)
    let names = try FileManager.default.contentsOfDirectory(atPath: inputs.path).sorted()
    #expect(!names.isEmpty)
    var generator = RandomGenerator(seed: 1)
    var (accepted, refused) = (0, 0)
    for name in names {
      let bytes = try Array(Data(contentsOf: inputs.appendingPathComponent(name)))
      // The file itself, and a few neighbours.
      for round in 0..<8 {
        var input = bytes
        for _ in 0..<round where !input.isEmpty {
          input[Int(generator.next() % UInt64(input.count))] = UInt8(truncatingIfNeeded: generator.next() >> 24)
        }
        let answers = try target.read(input, folder: folder)
        #expect(!answers.isEmpty && answers.allSatisfy { $0 != "" }, "\(name)")
        accepted += answers.count { $0 == nil }
        refused += answers.count { $0 != nil }
      }
    }
    // A corpus of which nothing is read, or everything, would show little.
    #expect(accepted > 0 && refused > 0, "\(accepted) accepted, \(refused) refused")
  }
}
