/// 1 at the `count` largest elements of a tensor and 0 elsewhere; of equals, the ones that come first. It has no
/// gradient: the choice is constant almost everywhere.
public struct LargestMask: Operation {
  public var count: Int

  public init(count: Int) {
    check(count >= 0, "LargestMask: \(count) elements")
    self.count = count
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    check(count <= inputs[0].count, "LargestMask: \(count) elements of shape \(inputs[0])")
    return [inputs[0]]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [inputs[0]] }

  /// Finds the bits of the smallest chosen element digit by digit (a radix selection), so the time does not depend on
  /// the values.
  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let (x, result, total) = (inputs[0].floats, outputs[0].floats, inputs[0].count)
    var (prefix, remaining) = (UInt32(0), count)
    for shift in stride(from: 24, through: 0, by: -8) {
      var histogram = [Int](repeating: 0, count: 256)
      let mask: UInt32 = shift == 24 ? 0 : ~0 << UInt32(shift + 8)
      for i in 0..<total {
        let key = Self.orderedBits(x[i])
        if key & mask == prefix { histogram[Int(key >> UInt32(shift) & 255)] += 1 }
      }
      var digit = 255
      while digit > 0, histogram[digit] < remaining {
        remaining -= histogram[digit]
        digit -= 1
      }
      prefix |= UInt32(digit) << UInt32(shift)
    }
    for i in 0..<total {
      let key = Self.orderedBits(x[i])
      var isChosen = key > prefix
      if key == prefix, remaining > 0 {
        isChosen = true
        remaining -= 1
      }
      result[i] = isChosen ? 1 : 0
    }
    if count == 0 { result.update(repeating: 0, count: total) }
  }

  /// Bits that order as the numbers do; NaN with a clear sign comes above all.
  private static func orderedBits(_ value: Float) -> UInt32 {
    let bits = (value + 0).bitPattern
    return bits >> 31 == 0 ? bits | 0x8000_0000 : ~bits
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] { [nil] }
}
