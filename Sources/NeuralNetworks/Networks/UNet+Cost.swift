extension ConvolutionLayer {
  /// Extents after this layer.
  func outputExtents(_ extents: [Int]) -> [Int] {
    zip(extents, zip(kernelSize, stride)).map { extent, own in
      let (kernel, stride) = own
      return (extent + (kernel - 1) / 2 * 2 - kernel) / stride + 1
    }
  }

  func operations(_ extents: [Int]) -> Int {
    2 * inputFeatures * outputFeatures * kernelSize.reduce(1, *) * outputExtents(extents).reduce(1, *)
  }
}

extension UNet {
  /// Floating-point operations of all convolutions of one forward pass, computed directly: two per multiplication and
  /// addition, as PyTorch's `FlopCounterMode` counts them.
  ///
  /// - Parameters:
  ///   - extents: the input's spatial extents.
  ///   - batchSize: samples.
  ///   - deepSupervision: whether all heads are computed.
  public func convolutionOperations(extents: [Int], batchSize: Int, deepSupervision: Bool) -> Double {
    var total = 0
    func run(_ blocks: [ConvolutionBlock], from extents: [Int]) -> [Int] {
      blocks.reduce(extents) { extents, block in
        total += block.convolution.operations(extents)
        return block.convolution.outputExtents(extents)
      }
    }
    var current = encoder.stem.map { run($0.blocks, from: extents) } ?? extents
    var skips: [[Int]] = []
    for stage in encoder.stages {
      for block in stage {
        if let plain = block as? StackedConvolutionBlocks { current = run(plain.blocks, from: current) }
        if let residual = block as? ResidualBlock {
          let after = run(residual.main, from: current)
          if let projection = residual.projection { _ = run([projection], from: after) }
          current = after
        }
      }
      skips.append(current)
    }
    skips.removeLast()
    for (index, stage) in decoder.stages.enumerated() {
      let upsampling = decoder.upsamplings[index]
      total +=
        2 * upsampling.inputFeatures * upsampling.outputFeatures * upsampling.stride.reduce(1, *)
        * current.reduce(1, *)
      current = run(stage.blocks, from: skips.removeLast())
      if deepSupervision || index == decoder.stages.count - 1 { total += decoder.heads[index].operations(current) }
    }
    return Double(total) * Double(batchSize)
  }
}
