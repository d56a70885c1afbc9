import Datasets
import Inference
import Testing

struct LogitsPrecisionTests {
  /// Rounding with integer arithmetic against the processor's conversion, around every float16 value and in between.
  @Test
  func roundsAsFloat16Does() {
    var patterns: [UInt32] = [0, 1, 0x7F80_0000, 0x477F_EFFF, 0x477F_F000, 0x4780_0000, 0x7F7F_FFFF, 0x3300_0000]
    for half in stride(from: UInt32(0), through: 0x7C00, by: 1) {
      let bits = Float(Float16(bitPattern: UInt16(half))).bitPattern
      // The value itself, the middle to the next one, and both neighbours of the middle.
      for offset in [0, 1, 0x0FFF, 0x1000, 0x1001, 0x1FFF] as [UInt32] { patterns.append(bits &+ offset) }
    }
    var generator = NumPyRandomState(seed: 1)
    for _ in 0..<200_000 { patterns.append(generator.nextWord()) }
    for pattern in patterns {
      for sign in [0, 0x8000_0000] as [UInt32] {
        let value = Float(bitPattern: pattern ^ sign)
        let (found, expected) = (roundedToHalf(value), Float(Float16(value)))
        if value.isNaN {
          #expect(found.isNaN)
        } else if found.bitPattern != expected.bitPattern {
          Issue.record("\(value) rounds to \(found), expected \(expected)")
        }
      }
    }
  }
}
