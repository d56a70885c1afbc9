import Archives
import Foundation
import TensorCore
import TensorTestSupport
import Testing

/// Mutated copies of small real files through every reader: each is read or refused; none crashes, hangs or allocates
/// without bound. The mutations are the same in every run.
@Suite struct MutationTests {
  /// Gives `count` mutants of `bytes` to `body` and returns how many of them it refused.
  private func mutate(_ bytes: [UInt8], count: Int, seed: UInt64, _ body: ([UInt8]) throws -> Void) -> Int {
    var generator = RandomGenerator(seed: seed)
    var refused = 0
    for _ in 0..<count where !bytes.isEmpty {
      var mutant = bytes
      for _ in 0..<Int.random(in: 1...4, using: &generator) where !mutant.isEmpty {
        let position = Int.random(in: 0..<mutant.count, using: &generator)
        switch Int.random(in: 0..<7, using: &generator) {
        case 0: mutant[position] = 0xFF
        case 1: mutant[position] = 0
        case 2: mutant[position] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 3: mutant[position] = UInt8.random(in: 0...255, using: &generator)
        case 4: mutant.removeSubrange(position..<min(mutant.count, position + 8))
        case 5: mutant.insert(contentsOf: mutant[position..<min(mutant.count, position + 16)], at: position)
        default: for index in position..<min(mutant.count, position + 8) { mutant[index] = 0xFF }
        }
      }
      do { try body(mutant) } catch { refused += 1 }
    }
    return refused
  }

  private func readZip(_ bytes: [UInt8]) throws {
    let archive = try ZipArchive(bytes: bytes, name: "mutant")
    for entry in archive.entries { _ = try archive.read(entry, maximum: 1 << 20) }
  }

  private func readArrays(_ bytes: [UInt8]) throws {
    let archive = try NumPyArchive(bytes: bytes, name: "mutant")
    for name in archive.names {
      _ = try archive.array(name).elements(as: Float.self)
      let reader = try archive.reader(name)
      while reader.remaining > 0 { _ = try reader.read(64, as: Float.self) }
    }
  }

  private func readPickle(_ bytes: [UInt8]) throws {
    _ = try Pickle.read(bytes, limits: Pickle.Limits(depth: 200, values: 100_000))
  }

  @Test func mutantsOfPythonsFiles() {
    var refused = 0
    for (index, bytes) in PythonFixtures.all.enumerated() {
      let seed = UInt64(index)
      refused += mutate(bytes, count: 200, seed: seed) { try readZip($0) }
      refused += mutate(bytes, count: 100, seed: seed) { try readArrays($0) }
      refused += mutate(bytes, count: 200, seed: seed) { _ = try Gzip.decompress($0, maximum: 1 << 20) }
      refused += mutate(bytes, count: 200, seed: seed) {
        _ = try NumPyArray(npy: $0, name: "mutant").elements(as: Float.self)
      }
      refused += mutate(bytes, count: 400, seed: seed) { try readPickle($0) }
    }
    #expect(refused > 0)
  }

  @Test func mutantsOfGoldenFiles() throws {
    guard let folder = Golden.folder("evaluation/ensemble_labels/member_0") else { return }
    let archive = [UInt8](try Data(contentsOf: folder.appendingPathComponent("case_0.npz")))
    // The ends of the file hold its structure; the middle is one deflate stream.
    #expect(mutate(archive, count: 300, seed: 1) { try readArrays($0) } > 250)
    let properties = [UInt8](try Data(contentsOf: folder.appendingPathComponent("case_0.pkl")))
    #expect(mutate(properties, count: 3000, seed: 2) { try readPickle($0) } > 300)
  }

  @Test func randomBytes() {
    var generator = RandomGenerator(seed: 3)
    for _ in 0..<3000 {
      var bytes = (0..<Int.random(in: 0..<200, using: &generator)).map { _ in
        UInt8.random(in: 0...255, using: &generator)
      }
      bytes.append(UInt8(ascii: "."))
      _ = try? readPickle(bytes)
      _ = try? readZip(bytes)
      _ = try? Gzip.decompress(bytes, maximum: 1 << 20)
    }
  }
}
