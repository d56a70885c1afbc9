import Foundation
import TensorCore
import Testing

@Suite struct RandomGeneratorTests {
  /// The known answers that Random123 publishes for philox4x32 with 10 rounds (tests/kat_vectors).
  @Test func philoxKnownAnswers() {
    #expect(
      RandomGenerator.philox(counter: (0, 0, 0, 0), key: (0, 0)) == (0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8)
    )
    let ones = UInt32.max
    #expect(
      RandomGenerator.philox(counter: (ones, ones, ones, ones), key: (ones, ones))
        == (0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
    #expect(
      RandomGenerator.philox(
        counter: (0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344), key: (0xa409_3822, 0x299f_31d0))
        == (0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
  }

  @Test func wordsAreTheStream() {
    var generator = RandomGenerator(seed: 0)
    #expect(generator.next() == 0xe169_c58d_6627_e8d5)
    #expect(generator.next() == 0x9b00_dbd8_bc57_ac4c)
    generator = RandomGenerator(seed: 42)
    let drawn = (0..<9).map { _ in generator.next() }
    #expect(drawn == (0..<9).map { RandomGenerator(seed: 42).word(at: $0) })
    #expect(Set(drawn).count == 9)
  }

  @Test func stateSurvivesCoding() throws {
    var generator = RandomGenerator(seed: .max - 3)
    for _ in 0..<5 { _ = generator.next() }
    var restored = try JSONDecoder().decode(RandomGenerator.self, from: JSONEncoder().encode(generator))
    #expect(restored == generator)
    #expect(restored.next() == generator.next())
  }

  @Test func childrenAndUniformsDiffer() {
    var generator = RandomGenerator(seed: 1)
    var (first, second) = (generator.child(), generator.child())
    #expect(first.next() != second.next())
    let values = (0..<10_000).map { _ in generator.uniform() }
    #expect(values.allSatisfy { $0 >= 0 && $0 < 1 })
    #expect(abs(values.reduce(0, +) / 10_000 - 0.5) < 0.02)
    #expect((0..<1000).allSatisfy { _ in (0..<1).contains(generator.uniformDouble()) })
  }
}
