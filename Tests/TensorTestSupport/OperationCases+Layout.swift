import TensorCore

extension OperationCase {
  static let layouts: [OperationCase] =
    [
      OperationCase(Reshape(to: [6, 10]), inputs: { [TestInput.uniform([3, 4, 5])] }) {
        [ReferenceArray(shape: [6, 10], elements: $0[0].elements)]
      }
    ] + transposes + pads + slices + concatenations

  private static let transposes: [OperationCase] =
    ([
      ([3, 5], [1, 0]), ([2, 3, 4, 5], [0, 3, 1, 2]), ([2, 3, 4, 5, 6], [0, 2, 3, 4, 1]), ([4, 3, 2], [2, 1, 0]),
      ([4, 3, 2], [0, 2, 1]), ([3, 4, 5], [1, 0, 2]), ([2, 1, 3, 1, 4], [3, 4, 1, 2, 0]), ([40, 33, 70], [0, 2, 1]),
      ([1, 300, 200], [0, 2, 1]), ([5, 6, 7, 8], [3, 1, 2, 0]), ([7], [0]),
    ] as [(Shape, [Int])]).map { shape, permutation in
      OperationCase(
        Transpose(permutation), "\(shape) by \(permutation)", inputs: { [TestInput.uniform(shape)] }, tolerance: 0,
        otherShapes: [[Shape(shape.extents.map { $0 + 2 })]]
      ) { arguments in
        let result = Shape(permutation.map { shape[$0] })
        return [
          ReferenceArray(shape: result) { index in
            var source = index
            for (position, axis) in permutation.enumerated() { source[axis] = index[position] }
            return arguments[0][source]
          }
        ]
      }
    } + [
      OperationCase(
        Transpose([1, 0, 2]), "int16", inputs: { [TestInput.labels([3, 4, 5], in: -5...5)] }, differentiable: [],
        outputs: [], tolerance: 0
      ) { arguments in
        [ReferenceArray(shape: [4, 3, 5]) { arguments[0][[$0[1], $0[0], $0[2]]] }]
      }
    ]

  private static let pads: [OperationCase] =
    ([
      ([3, 4, 5], [1, 0, 2], [0, 3, 0], 0.5), ([2, 3, 4, 5, 3], [0, 1, 0, 2, 0], [0, 0, 2, 1, 0], 0),
      ([5], [0], [0], 1),
      ([2, 60, 70, 16], [0, 3, 3, 0], [0, 3, 3, 0], 0),
    ] as [(Shape, [Int], [Int], Float)]).map { shape, lower, upper, value in
      OperationCase(
        Pad(lower: lower, upper: upper, value: value), "\(shape)", inputs: { [TestInput.uniform(shape)] },
        tolerance: 0, otherShapes: [[Shape(shape.extents.map { $0 + 3 })]]
      ) { arguments in
        let result = Shape(shape.extents.indices.map { lower[$0] + shape[$0] + upper[$0] })
        return [
          ReferenceArray(shape: result) { index in
            let source = zip(index, lower).map { $0 - $1 }
            let isInside = zip(source, shape.extents).allSatisfy { $0 >= 0 && $0 < $1 }
            return isInside ? arguments[0][source] : Double(value)
          }
        ]
      }
    }

  private static let slices: [OperationCase] =
    ([
      ([3, 4, 5], [1, 0, 2], [3, 3, 4]), ([2, 3, 4, 5], [0, 0, 0, 1], [2, 3, 4, 3]), ([6], [2], [6]),
      ([2, 70, 60, 32], [0, 2, 3, 0], [2, 66, 55, 32]),
    ] as [(Shape, [Int], [Int])]).map { shape, lower, upper in
      OperationCase(
        Slice(lower: lower, upper: upper), "\(shape)", inputs: { [TestInput.uniform(shape)] }, tolerance: 0,
        otherShapes: [[Shape(shape.extents.map { $0 + 3 })]]
      ) { arguments in
        [
          ReferenceArray(shape: Shape(zip(lower, upper).map { $1 - $0 })) { index in
            arguments[0][zip(index, lower).map(+)]
          }
        ]
      }
    }

  private static let concatenations: [OperationCase] =
    ([
      (2, [[3, 4, 5], [3, 4, 2]]), (0, [[3, 4], [1, 4], [2, 4]]), (1, [[3, 2, 4], [3, 5, 4]]),
      (3, [[1, 40, 50, 32], [1, 40, 50, 16], [1, 40, 50, 3]]), (0, [[5]]),
    ] as [(Int, [Shape])]).map { axis, shapes in
      OperationCase(
        Concatenate(axis: axis), "\(shapes) along \(axis)",
        inputs: { shapes.enumerated().map { TestInput.uniform($1, seed: UInt64($0) + 1) } },
        differentiable: Set(shapes.indices), tolerance: 0,
        otherShapes: [
          shapes.map { shape in Shape(shape.extents.enumerated().map { $0 == axis ? $1 + 1 : $1 + 2 }) }
        ]
      ) { arguments in
        var result = shapes[0]
        result[axis] = shapes.reduce(0) { $0 + $1[axis] }
        return [
          ReferenceArray(shape: result) { index in
            var (source, position) = (index, 0)
            while source[axis] >= shapes[position][axis] {
              source[axis] -= shapes[position][axis]
              position += 1
            }
            return arguments[position][source]
          }
        ]
      }
    }
}
