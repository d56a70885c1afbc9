import TensorCore

/// How a target tensor tells what is at each voxel, beside logits `[N, spatial, K]`.
public enum TargetKind: Codable, Hashable, Sendable {
  /// int16 `[N, spatial]` with classes `0..<K`; voxels with the ignore label count for nothing.
  case labels(ignoring: Int16?)
  /// uint8 or float32 `[N, spatial, K]`, 1 inside each region; with an ignore channel `[N, spatial, K + 1]`, whose
  /// last channel is 1 where a voxel counts for nothing.
  case regions(hasIgnoreChannel: Bool)

  /// Stops unless the target's shape and type suit the logits.
  func check(_ target: Shape, logits: Shape, operation: String) {
    switch self {
    case .labels:
      TensorCore.check(
        target.extents == Array(logits.extents.dropLast()),
        "\(operation): labels for \(logits) have shape \(Array(logits.extents.dropLast())), got \(target)")
    case .regions(let hasIgnoreChannel):
      let channels = logits.channels + (hasIgnoreChannel ? 1 : 0)
      TensorCore.check(
        target.extents == logits.extents.dropLast() + [channels],
        "\(operation): regions for \(logits) have \(channels) channels, got \(target)")
    }
  }
}

/// A target during evaluation: labels, or regions as bytes or floats.
enum TargetElements {
  case labels(UnsafePointer<Int16>, ignoring: Int16?)
  case bytes(UnsafePointer<UInt8>, channels: Int, hasIgnoreChannel: Bool)
  case floats(UnsafePointer<Float>, channels: Int, hasIgnoreChannel: Bool)

  init(_ kind: TargetKind, _ view: TensorView) {
    switch kind {
    case .labels(let ignored): self = .labels(view.pointer(to: Int16.self), ignoring: ignored)
    case .regions(let hasIgnoreChannel):
      switch view.elementType {
      case .uint8:
        self = .bytes(view.pointer(to: UInt8.self), channels: view.shape.channels, hasIgnoreChannel: hasIgnoreChannel)
      default: self = .floats(view.floats, channels: view.shape.channels, hasIgnoreChannel: hasIgnoreChannel)
      }
    }
  }

  /// Calls `counted` for every voxel that counts: with its index and, for labels, its class, else a reader of region
  /// values by channel.
  @inline(__always)
  func forEachCounted(
    _ voxels: Range<Int>, classCount: Int, label: (Int, Int) -> Void, region: (Int, (Int) -> Float) -> Void
  ) {
    switch self {
    case .labels(let labels, let ignored):
      for voxel in voxels {
        let value = labels[voxel]
        if value == ignored { continue }
        check(
          value >= 0 && Int(value) < classCount,
          "loss: the target holds label \(value), the network has classes 0..<\(classCount)")
        label(voxel, Int(value))
      }
    case .bytes(let values, let channels, let hasIgnoreChannel):
      for voxel in voxels {
        let own = values + voxel * channels
        if hasIgnoreChannel, own[channels - 1] != 0 { continue }
        region(voxel) { Float(own[$0]) }
      }
    case .floats(let values, let channels, let hasIgnoreChannel):
      for voxel in voxels {
        let own = values + voxel * channels
        if hasIgnoreChannel, own[channels - 1] != 0 { continue }
        region(voxel) { own[$0] }
      }
    }
  }
}

/// Voxels per task of an operation on logits; fixed, so that sums do not depend on the number of threads.
let lossGrain = 1 << 13

/// Runs `body` for chunks of voxels that each lie in one sample: (chunk number, sample, voxels).
func forEachVoxelChunk(
  samples: Int, voxelsPerSample: Int, in pool: WorkerPool, _ body: (Int, Int, Range<Int>) -> Void
) {
  let chunks = (voxelsPerSample + lossGrain - 1) / lossGrain
  pool.run(tasks: samples * chunks) { task in
    let (sample, chunk) = task.quotientAndRemainder(dividingBy: chunks)
    let lower = chunk * lossGrain
    let upper = min(voxelsPerSample, lower + lossGrain)
    body(task, sample, sample * voxelsPerSample + lower..<sample * voxelsPerSample + upper)
  }
}

func voxelChunkCount(samples: Int, voxelsPerSample: Int) -> Int {
  samples * ((voxelsPerSample + lossGrain - 1) / lossGrain)
}
