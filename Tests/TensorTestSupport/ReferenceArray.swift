import TensorCore

/// A row-major array in double precision for references that are plain loops.
package struct ReferenceArray: Sendable {
  package var shape: Shape
  package var elements: [Double]

  package init(shape: Shape, elements: [Double]) {
    check(shape.count == elements.count, "ReferenceArray: \(elements.count) elements for shape \(shape)")
    self.shape = shape
    self.elements = elements
  }

  package init(repeating value: Double, shape: Shape) {
    self.init(shape: shape, elements: [Double](repeating: value, count: shape.count))
  }

  /// The elements of a tensor of any type.
  package init(_ tensor: Tensor) {
    let elements: [Double] =
      switch tensor.elementType {
      case .float32: tensor.withElements(as: Float.self) { $0.map(Double.init) }
      case .int16: tensor.withElements(as: Int16.self) { $0.map(Double.init) }
      case .uint8: tensor.withElements(as: UInt8.self) { $0.map(Double.init) }
      case .uint64: tensor.withElements(as: UInt64.self) { $0.map(Double.init) }
      }
    self.init(shape: tensor.shape, elements: elements)
  }

  /// An array whose element at an index (one number per axis) is what `body` gives.
  package init(shape: Shape, _ body: ([Int]) -> Double) {
    self.init(shape: shape, elements: (0..<shape.count).map { body(shape.index(of: $0)) })
  }

  package subscript(index: [Int]) -> Double {
    get { elements[shape.offset(of: index)] }
    set { elements[shape.offset(of: index)] = newValue }
  }

  package func map(_ body: (Double) -> Double) -> ReferenceArray {
    ReferenceArray(shape: shape, elements: elements.map(body))
  }

  /// Sums what `value` gives for every index of this array's shape into the place that `target` gives.
  package static func scatter(
    into shape: Shape, over source: Shape, _ body: ([Int]) -> (target: [Int], value: Double)
  ) -> ReferenceArray {
    var result = ReferenceArray(repeating: 0, shape: shape)
    for position in 0..<source.count {
      let (target, value) = body(source.index(of: position))
      result[target] += value
    }
    return result
  }
}

extension Shape {
  /// The index, one number per axis, of an element's place in memory.
  package func index(of offset: Int) -> [Int] {
    var rest = offset
    var index = [Int](repeating: 0, count: rank)
    for axis in extents.indices.reversed() {
      index[axis] = rest % extents[axis]
      rest /= extents[axis]
    }
    return index
  }

  package func offset(of index: [Int]) -> Int {
    zip(index, extents).reduce(0) { $0 * $1.1 + $1.0 }
  }
}

/// Reproducible test inputs.
package enum TestInput {
  /// Uniform in `range`, kept `margin` away from the values where the operation has a kink.
  package static func uniform(
    _ shape: Shape, in range: ClosedRange<Float> = -1...1, seed: UInt64 = 1, avoiding kinks: [Float] = [],
    margin: Float = 0.05
  ) -> Tensor {
    var generator = RandomGenerator(seed: seed)
    let values = (0..<shape.count).map { _ -> Float in
      while true {
        let value = Float.random(in: range, using: &generator)
        if kinks.allSatisfy({ abs(value - $0) >= margin }) { return value }
      }
    }
    return Tensor(values, shape: shape)
  }

  /// All different, neighbours in value 0.01 apart, in random order: for operations that choose the largest.
  package static func distinct(_ shape: Shape, seed: UInt64 = 1) -> Tensor {
    var generator = RandomGenerator(seed: seed)
    let values = (0..<shape.count).map { Float($0) * 0.01 - 1 }.shuffled(using: &generator)
    return Tensor(values, shape: shape)
  }

  /// Labels from `range`.
  package static func labels(_ shape: Shape, in range: ClosedRange<Int16>, seed: UInt64 = 7) -> Tensor {
    var generator = RandomGenerator(seed: seed)
    return Tensor((0..<shape.count).map { _ in Int16.random(in: range, using: &generator) }, shape: shape)
  }
}
