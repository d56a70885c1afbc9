import TensorCore

extension OperationCase {
  /// A convolution of a case, and its products one by one.
  struct Setting {
    var input: Shape
    var weight: Shape
    var geometry: ConvolutionGeometry

    var output: Shape { Convolution(geometry).shapes(of: [input, weight])[0] }

    /// Calls `body` with output, input and weight index of every product.
    func forEachProduct(_ body: ([Int], [Int], [Int]) -> Void) {
      let (inputs, outputs) = (weight[1], weight[0] / geometry.groups)
      for place in 0..<output.count {
        let to = output.index(of: place)
        let channel = to[to.count - 1]
        for tap in 0..<weight.count / weight[0] {
          let index = Shape(Array(weight.extents.dropFirst())).index(of: tap)
          var from = to
          from[to.count - 1] = channel / outputs * inputs + index[0]
          var isInside = true
          for axis in 0..<geometry.rank {
            from[axis + 1] =
              to[axis + 1] * geometry.stride[axis] - geometry.paddingLower[axis]
              + index[axis + 1] * geometry.dilation[axis]
            isInside = isInside && (0..<input[axis + 1]).contains(from[axis + 1])
          }
          if isInside { body(to, from, [channel] + index) }
        }
      }
    }
  }

  private static let settings: [Setting] = [
    Setting(
      input: [2, 4, 5, 3, 4], weight: [6, 2, 3, 3, 1],
      geometry: ConvolutionGeometry(
        stride: [2, 1, 1], paddingLower: [1, 0, 0], paddingUpper: [0, 1, 0], dilation: [1, 2, 1], groups: 2)),
    Setting(
      input: [1, 6, 5, 3], weight: [5, 3, 3, 3], geometry: ConvolutionGeometry(preserving: [3, 3])),
    Setting(
      input: [1, 4, 6, 4], weight: [3, 4, 2, 2], geometry: ConvolutionGeometry(stride: [2, 2], padding: [0, 0])),
  ]

  static let convolutions: [OperationCase] = settings.flatMap { setting -> [OperationCase] in
    let (input, weight, output) = (setting.input, setting.weight, setting.output)
    let geometry = setting.geometry
    let note = "\(input) with \(weight)"
    let back: @Sendable ([ReferenceArray]) -> ReferenceArray = { arguments in
      var result = ReferenceArray(repeating: 0, shape: input)
      setting.forEachProduct { result[$1] += arguments[0][$0] * arguments[1][$2] }
      return result
    }
    let smallest = input.spatial.indices.map {
      geometry.transposedExtent(output[$0 + 1], kernel: weight[$0 + 2], extra: 0, axis: $0)
    }
    return [
      OperationCase(
        Convolution(geometry), note,
        inputs: {
          [TestInput.uniform(input), TestInput.uniform(weight, seed: 2), TestInput.uniform([weight[0]], seed: 3)]
        }, differentiable: [0, 1, 2], tolerance: 2e-6,
        otherShapes: [[Shape(input.extents.dropLast().map { $0 + 2 } + [input.channels]), weight, [weight[0]]]]
      ) { arguments in
        var result = ReferenceArray(shape: output) { arguments[2].elements[$0[$0.count - 1]] }
        setting.forEachProduct { result[$0] += arguments[0][$1] * arguments[1][$2] }
        return [result]
      },
      OperationCase(
        ConvolutionInputGradient(geometry, extents: input.spatial), note,
        inputs: { [TestInput.uniform(output), TestInput.uniform(weight, seed: 2)] }, differentiable: [0, 1],
        tolerance: 2e-6
      ) { [back($0)] },
      OperationCase(
        ConvolutionWeightGradient(geometry, kernel: Array(weight.extents[2...])), note,
        inputs: { [TestInput.uniform(input), TestInput.uniform(output, seed: 2)] }, differentiable: [0, 1],
        tolerance: 2e-6
      ) { arguments in
        var result = ReferenceArray(repeating: 0, shape: weight)
        setting.forEachProduct { result[$2] += arguments[0][$1] * arguments[1][$0] }
        return [result]
      },
      OperationCase(
        TransposedConvolution(geometry, outputPadding: zip(input.spatial, smallest).map { $0 - $1 }), note,
        inputs: {
          [TestInput.uniform(output), TestInput.uniform(weight, seed: 2), TestInput.uniform([input.channels], seed: 3)]
        }, differentiable: [0, 1, 2], tolerance: 2e-6
      ) { arguments in
        var result = back(arguments)
        for place in result.elements.indices {
          result.elements[place] += arguments[2].elements[place % input.channels]
        }
        return [result]
      },
      OperationCase(ConvolutionBiasGradient(), note, inputs: { [TestInput.uniform(output)] }, tolerance: 2e-6) {
        arguments in
        var result = ReferenceArray(repeating: 0, shape: [output.channels])
        for (place, value) in arguments[0].elements.enumerated() { result.elements[place % output.channels] += value }
        return [result]
      },
      OperationCase(ConvolutionBiasFill(shape: output), note, inputs: { [TestInput.uniform([output.channels])] }) {
        arguments in
        [ReferenceArray(shape: output) { arguments[0].elements[$0[$0.count - 1]] }]
      },
    ]
  }
}
