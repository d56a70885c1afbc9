import TensorCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

extension OperationCase {
  private static let windows: [(Shape, PoolingWindow)] = [
    ([2, 5, 6, 7, 3], PoolingWindow(kernel: [2, 2, 2], stride: [2, 2, 2], padding: [0, 0, 0])),
    ([1, 7, 9, 5], PoolingWindow(kernel: [3, 2], stride: [2, 1], padding: [1, 0])),
    ([2, 4, 5, 6, 17], PoolingWindow(kernel: [3, 3, 3], stride: [1, 2, 3], padding: [1, 1, 0])),
    ([3, 11, 2], PoolingWindow(kernel: [2], stride: [3], padding: [1])),
    ([1, 60, 60, 32], PoolingWindow(kernel: [2, 2], stride: [2, 2], padding: [0, 0])),
  ]

  private static func pooled(_ shape: Shape, _ window: PoolingWindow) -> Shape {
    let spatial = shape.spatial.enumerated().map {
      ($1 + 2 * window.padding[$0] - window.kernel[$0]) / window.stride[$0] + 1
    }
    return Shape([shape[0]] + spatial + [shape.channels])
  }

  /// The input index of every tap of the window at an output index; `nil` in the padding.
  private static func taps(_ output: [Int], _ shape: Shape, _ window: PoolingWindow) -> [[Int]?] {
    let kernel = Shape(window.kernel)
    return (0..<kernel.count).map { tap in
      let place = kernel.index(of: tap)
      var index = output
      for axis in window.kernel.indices {
        index[axis + 1] = output[axis + 1] * window.stride[axis] - window.padding[axis] + place[axis]
        guard (0..<shape[axis + 1]).contains(index[axis + 1]) else { return nil }
      }
      return index
    }
  }

  private static func average(_ x: ReferenceArray, _ window: PoolingWindow) -> ReferenceArray {
    let size = Double(window.kernel.reduce(1, *))
    return ReferenceArray(shape: pooled(x.shape, window)) { index in
      taps(index, x.shape, window).reduce(0) { sum, tap in sum + (tap.map { x[$0] } ?? 0) } / size
    }
  }

  private static func averageGradient(_ g: ReferenceArray, _ window: PoolingWindow, _ shape: Shape) -> ReferenceArray {
    let size = Double(window.kernel.reduce(1, *))
    var result = ReferenceArray(repeating: 0, shape: shape)
    for place in 0..<g.shape.count {
      let index = g.shape.index(of: place)
      for case let tap? in taps(index, shape, window) { result[tap] += g[index] / size }
    }
    return result
  }

  /// The place of the largest tap for every output element.
  private static func places(_ x: ReferenceArray, _ window: PoolingWindow) -> ReferenceArray {
    ReferenceArray(shape: pooled(x.shape, window)) { index in
      var best: (place: Int, value: Double)?
      for (place, tap) in taps(index, x.shape, window).enumerated() {
        guard let tap else { continue }
        if x[tap] > best?.value ?? -.infinity { best = (place, x[tap]) }
      }
      return Double(best?.place ?? -1)
    }
  }

  private static func selected(
    _ x: ReferenceArray, _ places: ReferenceArray, _ window: PoolingWindow
  ) -> ReferenceArray {
    ReferenceArray(shape: places.shape) { index in
      taps(index, x.shape, window)[Int(places[index])].map { x[$0] } ?? .nan
    }
  }

  static let pools: [OperationCase] = windows.flatMap { shape, window -> [OperationCase] in
    let small = pooled(shape, window)
    let other = [[Shape(shape.extents.map { $0 + 1 })]]
    let makePlaces: @Sendable () -> Tensor = { MaxPool(window).apply([TestInput.distinct(shape, seed: 4)])[1] }
    return [
      OperationCase(
        AveragePool(window), "\(shape) \(window.kernel)", inputs: { [TestInput.uniform(shape)] }, otherShapes: other
      ) { [average($0[0], window)] },
      OperationCase(
        AveragePoolGradient(window, inputShape: shape), "\(shape) \(window.kernel)",
        inputs: { [TestInput.uniform(small)] }
      ) { [averageGradient($0[0], window, shape)] },
      OperationCase(
        MaxPool(window), "\(shape) \(window.kernel)", inputs: { [TestInput.distinct(shape)] }, otherShapes: other
      ) {
        let places = places($0[0], window)
        return [selected($0[0], places, window), places]
      },
      OperationCase(
        MaxPoolGradient(window, inputShape: shape), "\(shape) \(window.kernel)",
        inputs: { [TestInput.uniform(small), makePlaces()] }
      ) { arguments in
        var result = ReferenceArray(repeating: 0, shape: shape)
        for place in 0..<small.count {
          let index = small.index(of: place)
          if let tap = taps(index, shape, window)[Int(arguments[1][index])] { result[tap] += arguments[0][index] }
        }
        return [result]
      },
      OperationCase(
        MaxPoolSelection(window), "\(shape) \(window.kernel)", inputs: { [TestInput.uniform(shape), makePlaces()] }
      ) { [selected($0[0], $0[1], window)] },
    ]
  }

  /// For an output index along one axis the input indices and weights, as PyTorch's `interpolate` defines them.
  private static func neighbours(
    _ index: Int, _ old: Int, _ new: Int, _ interpolation: Interpolation
  ) -> [(Int, Double)] {
    let ratio = Double(old) / Double(new)
    switch interpolation {
    case .nearest: return [(min(Int(floor(Double(index) * ratio)), old - 1), 1)]
    case .linear:
      let position = max(0, (Double(index) + 0.5) * ratio - 0.5)
      let lower = min(Int(position), old - 1)
      let fraction = position - Double(lower)
      return [(lower, 1 - fraction), (min(lower + 1, old - 1), fraction)]
    }
  }

  /// Calls `body` with output index, input index and weight for every term of an upsampling.
  private static func forEachTerm(
    _ shape: Shape, _ large: Shape, _ interpolation: Interpolation, _ body: ([Int], [Int], Double) -> Void
  ) {
    for place in 0..<large.count {
      let index = large.index(of: place)
      var terms: [([Int], Double)] = [(index, 1)]
      for axis in 1..<shape.rank - 1 {
        terms = terms.flatMap { term in
          neighbours(index[axis], shape[axis], large[axis], interpolation).map { neighbour in
            var source = term.0
            source[axis] = neighbour.0
            return (source, term.1 * neighbour.1)
          }
        }
      }
      for (source, weight) in terms { body(index, source, weight) }
    }
  }

  static let upsamplings: [OperationCase] =
    ([
      ([2, 3, 4, 5, 3], [6, 8, 10]), ([1, 5, 4, 17], [7, 4]), ([2, 6, 2], [15]), ([1, 4, 5, 2], [3, 9]),
      ([1, 20, 24, 16], [40, 48]),
    ] as [(Shape, [Int])]).flatMap { shape, extents -> [OperationCase] in
      [Interpolation.nearest, .linear].flatMap { interpolation -> [OperationCase] in
        let upsample = Upsample(to: extents, interpolation)
        let large = Shape([shape[0]] + extents + [shape.channels])
        let note = "\(shape) to \(extents) \(interpolation)"
        return [
          OperationCase(
            upsample, note, inputs: { [TestInput.uniform(shape)] },
            otherShapes: [[Shape(shape.extents.map { $0 + 1 })]]
          ) { arguments in
            var result = ReferenceArray(repeating: 0, shape: large)
            forEachTerm(shape, large, interpolation) { result[$0] += arguments[0][$1] * $2 }
            return [result]
          },
          OperationCase(
            UpsampleGradient(upsample, inputShape: shape), note, inputs: { [TestInput.uniform(large)] }
          ) { arguments in
            var result = ReferenceArray(repeating: 0, shape: shape)
            forEachTerm(shape, large, interpolation) { result[$1] += arguments[0][$0] * $2 }
            return [result]
          },
        ]
      }
    }

  static let spatial: [OperationCase] = pools + upsamplings
}
