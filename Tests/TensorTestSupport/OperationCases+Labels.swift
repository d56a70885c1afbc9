import TensorCore

extension OperationCase {
  static let labels: [OperationCase] =
    [
      OperationCase(
        OneHot(classCount: 4), inputs: { [TestInput.labels([2, 3, 4], in: -1...5)] }, differentiable: [],
        outputs: [], otherShapes: [[[9, 3, 1]]]
      ) { arguments in
        [
          ReferenceArray(shape: [2, 3, 4, 4]) { index in
            arguments[0][Array(index.dropLast())] == Double(index[3]) ? 1 : 0
          }
        ]
      },
      OperationCase(
        GatherChannel(), inputs: { [TestInput.uniform([2, 3, 5, 4]), TestInput.labels([2, 3, 5], in: -1...4)] },
        otherShapes: [[[3, 3, 5, 9], [3, 3, 5]]]
      ) { arguments in
        [
          ReferenceArray(shape: [2, 3, 5]) { index in
            let label = Int(arguments[1][index])
            return (0..<4).contains(label) ? arguments[0][index + [label]] : 0
          }
        ]
      },
      OperationCase(
        ScatterChannel(channels: 3),
        inputs: { [TestInput.uniform([4, 5]), TestInput.labels([4, 5], in: 0...3).converted(to: .float32)] },
        otherShapes: [[[4, 9], [4, 9]]]
      ) { arguments in
        [
          ReferenceArray(shape: [4, 5, 3]) { index in
            let place = Array(index.dropLast())
            return arguments[1][place] == Double(index[2]) ? arguments[0][place] : 0
          }
        ]
      },
      OperationCase(
        LargestChannel(), inputs: { [TestInput.distinct([3, 4, 7])] }, differentiable: [], outputs: [],
        otherShapes: [[[1, 9, 3]]]
      ) { arguments in
        [
          ReferenceArray(shape: [3, 4]) { index in
            Double((0..<7).max { arguments[0][index + [$0]] < arguments[0][index + [$1]] } ?? -1)
          }
        ]
      },
      OperationCase(
        LargestMask(count: 13), inputs: { [TestInput.distinct([5, 7])] }, differentiable: [], otherShapes: [[[4, 9]]]
      ) { arguments in
        let least = arguments[0].elements.sorted(by: >)[12]
        return [arguments[0].map { $0 >= least ? 1 : 0 }]
      },
      OperationCase(
        DropoutMask(probability: 0.3, shape: [2, 700, 3], offset: 0),
        inputs: { [Tensor([7, 11] as [UInt64], shape: [2])] }, differentiable: []
      ) { arguments in
        var generator = RandomGenerator(seed: 7)
        generator.position = 11
        return [
          ReferenceArray(
            shape: [2, 700, 3],
            elements: (0..<4200).map { _ in generator.uniform() < 0.3 ? 0 : Double(1 / (1 - Float(0.3))) })
        ]
      },
      OperationCase(
        Convert(to: .int16), inputs: { [TestInput.uniform([5, 6], in: -40_000...40_000)] }, differentiable: [],
        outputs: [], otherShapes: [[[7, 1]]]
      ) { [$0[0].map { min(max($0.rounded(.toNearestOrEven), -32768), 32767) }] },
      OperationCase(
        Convert(to: .float32), inputs: { [TestInput.labels([5, 6], in: -300...300)] }, differentiable: [], outputs: []
      ) { $0 },
      OperationCase(
        Convert(to: .uint8), inputs: { [TestInput.labels([5, 6], in: -300...300)] }, differentiable: [], outputs: []
      ) { [$0[0].map { min(max($0, 0), 255) }] },
    ]

  static let matrixProducts: [OperationCase] =
    ([
      ([5, 7], [7, 4], false, false), ([7, 5], [7, 4], true, false), ([5, 7], [4, 7], false, true),
      ([7, 5], [4, 7], true, true), ([2, 3, 5, 7], [2, 3, 7, 4], false, false), ([2, 7, 5], [2, 4, 7], true, true),
      ([2, 3, 5, 7], [7, 4], false, false), ([3, 7, 5], [7, 4], true, false), ([3, 5, 7], [4, 7], false, true),
      ([6, 9001], [9001, 3], false, false), ([600, 20], [20, 30], false, false),
    ] as [(Shape, Shape, Bool, Bool)]).map { a, b, transposesA, transposesB in
      OperationCase(
        MatrixProduct(transposingFirst: transposesA, transposingSecond: transposesB),
        "\(a)\(transposesA ? "ᵀ" : "") by \(b)\(transposesB ? "ᵀ" : "")",
        inputs: { [TestInput.uniform(a), TestInput.uniform(b, seed: 2)] }, differentiable: [0, 1], tolerance: 2e-6,
        otherShapes: a == [5, 7] && !transposesB ? [[[2, 9], [9, 1]]] : []
      ) { arguments in
        let (rank, inner) = (a.rank, transposesA ? a[a.rank - 2] : a[a.rank - 1])
        let rows = transposesA ? a[rank - 1] : a[rank - 2]
        let columns = transposesB ? b[b.rank - 2] : b[b.rank - 1]
        return [
          ReferenceArray(shape: Shape(Array(a.extents.dropLast(2)) + [rows, columns])) { index in
            let batch = Array(index.dropLast(2))
            let (i, j) = (index[rank - 2], index[rank - 1])
            return (0..<inner).reduce(0) { sum, k in
              sum + arguments[0][batch + (transposesA ? [k, i] : [i, k])]
                * arguments[1][(b.rank == 2 ? [] : batch) + (transposesB ? [j, k] : [k, j])]
            }
          }
        ]
      }
    }
}
