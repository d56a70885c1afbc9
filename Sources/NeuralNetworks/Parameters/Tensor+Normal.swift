#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif
import TensorCore

extension Tensor {
  /// Independent normal numbers with mean 0 (Box and Muller 1958), the same for any number of threads.
  package static func normal(
    shape: Shape, standardDeviation: Double, generator: inout RandomGenerator
  ) -> Tensor {
    let start = generator
    let pairCount = (shape.count + 1) / 2
    generator.position += UInt64(2 * pairCount)
    let tensor = Tensor(uninitialized: shape)
    let elements = MutableTensorView(tensor).floats
    let count = shape.count
    WorkerPool.shared.run(count: pairCount, grain: 1 << 12) { pairs in
      for pair in pairs {
        let first = start.word(at: start.position + UInt64(2 * pair))
        let second = start.word(at: start.position + UInt64(2 * pair) + 1)
        // In (0, 1], so that the logarithm is finite.
        let u = Double((first >> 11) + 1) * 0x1p-53
        let angle = 2 * Double.pi * Double(second >> 11) * 0x1p-53
        let radius = standardDeviation * (-2 * log(u)).squareRoot()
        elements[2 * pair] = Float(radius * cos(angle))
        if 2 * pair + 1 < count { elements[2 * pair + 1] = Float(radius * sin(angle)) }
      }
    }
    return tensor
  }
}
