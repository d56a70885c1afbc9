import Datasets
import Foundation
import TensorTestSupport
import Testing

@Suite struct NumPyRandomStateTests {
  @Test func numbersEqualNumPys() throws {
    guard let folder = Golden.folder("splits") else { return }
    let reference = try JSONField(contentsOf: folder.appendingPathComponent("rng_reference.json"))
    let entries = try reference.field("entries").elements()
    #expect(!entries.isEmpty)
    for entry in entries {
      let seed = UInt32(try entry.field("seed").int())
      var generator = NumPyRandomState(seed: seed)
      for expected in try entry.field("random_sample_5").doubles() { #expect(generator.uniform() == expected) }
      generator = NumPyRandomState(seed: seed)
      for expected in try entry.field("randint_0_to_2pow32_uint32_5").ints() {
        #expect(generator.integer(in: 0..<1 << 32) == expected)
      }
      for (key, field) in try entry.field("shuffle_arange").entries() {
        generator = NumPyRandomState(seed: seed)
        var array = Array(0..<(try #require(Int(key))))
        generator.shuffle(&array)
        #expect(try array == field.ints())
      }
      for (key, field) in try entry.field("choice_replace_first10_of_1000").entries() {
        let population = try #require(Int(key))
        generator = NumPyRandomState(seed: seed)
        let drawn = generator.choiceWithReplacement(from: population, count: 1000)
        #expect(try Array(drawn.prefix(10)) == field.ints())
        // The counts are those of the draws, and leave the stream where the draws do.
        var counting = NumPyRandomState(seed: seed)
        let counts = counting.choiceCounts(from: population, count: 1000)
        var expected = [UInt32](repeating: 0, count: population)
        for index in drawn { expected[index] += 1 }
        #expect(counts == expected)
        #expect(counting.nextWord() == generator.nextWord())
      }
      for (key, field) in try entry.field("choice_noreplace").entries() {
        let numbers = key.split(separator: "_")
        let population = try #require(numbers.first.flatMap { Int($0) })
        let count = try #require(numbers.last.flatMap { Int($0) })
        generator = NumPyRandomState(seed: seed)
        let drawn = generator.choiceWithoutReplacement(from: population, count: count)
        #expect(drawn.count == count)
        let expected = try field.ints()
        #expect(!expected.isEmpty && Array(drawn.prefix(expected.count)) == expected)
      }
    }
  }

  /// `numpy.random.RandomState([1, 2, 3]).randint(0, 2**32, 4, dtype=np.uint32)` and the like.
  @Test func severalSeeds() {
    var generator = NumPyRandomState(seeds: [1, 2, 3])
    #expect((0..<4).map { _ in generator.nextWord() } == [2619334238, 1552691353, 3808334787, 2540200029])
  }

  @Test func aRangeOfMoreThan32Bits() {
    var generator = NumPyRandomState(seed: 7)
    #expect(generator.integers(in: -5..<(1 << 40), count: 3) == [752595690687, 108744157681, 291964244174])
  }

  @Test func aPopulationOfOneDrawsNothing() {
    var (a, b) = (NumPyRandomState(seed: 3), NumPyRandomState(seed: 3))
    #expect(a.choiceCounts(from: 1, count: 9) == [9])
    #expect(a.choiceWithReplacement(from: 1, count: 9) == Array(repeating: 0, count: 9))
    #expect(a.nextWord() == b.nextWord())
  }
}
