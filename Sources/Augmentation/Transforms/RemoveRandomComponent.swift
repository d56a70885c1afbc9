import TensorCore
import Volumes

/// Removes one connected component, chosen at random among the small ones, from one-hot channels of the previous
/// stage's segmentation.
///
/// batchgeneratorsv2: `transforms/nnunet/remove_connected_components.py`, which never fills with another class in
/// nnU-Net's default training.
public struct RemoveRandomComponent: SampleTransform, Hashable {
  public struct ChannelChoice: Hashable, Sendable {
    /// Counted from the end: -1 is the last channel of the image.
    public var channel: Int
    /// In [0, 1): which of the components, once their number is known.
    public var choice: Double

    public init(channel: Int, choice: Double) {
      self.channel = channel
      self.choice = choice
    }
  }
  public typealias Parameters = [ChannelChoice]

  /// The last channels of the image are the one-hot ones.
  public var oneHotCount: Int
  public var channelProbability: Double
  /// Only components smaller than this part of the patch are removed.
  public var largestFraction: Double

  public init(oneHotCount: Int, channelProbability: Double = 0.5, largestFraction: Double = 0.15) {
    self.oneHotCount = oneHotCount
    self.channelProbability = channelProbability
    self.largestFraction = largestFraction
  }

  public func drawParameters(for sample: TrainingSample, using generator: inout RandomGenerator) -> Parameters {
    let order = (-oneHotCount..<0).shuffled(using: &generator)
    let chosen = order.filter { _ in generator.draw(probability: channelProbability) }
    return chosen.map { ChannelChoice(channel: $0, choice: generator.uniformDouble()) }
  }

  public func apply(_ parameters: Parameters, to sample: inout TrainingSample) {
    let size = sample.image.spatialShape
    let limit = Double(sample.image.voxelCount) * largestFraction
    for entry in parameters {
      sample.image.withMutableChannel(sample.image.channelCount + entry.channel) { values in
        let components = ConnectedRuns(size: size, nonzero: values).components
        let candidates = components.filter { component in
          Double(component.reduce(0) { $0 + $1.count }) < limit
        }
        guard !candidates.isEmpty else { return }
        let chosen = candidates[min(Int(entry.choice * Double(candidates.count)), candidates.count - 1)]
        for run in chosen { (values + run.lowerBound).update(repeating: 0, count: run.count) }
      }
    }
  }
}

/// Connected components (26 neighbours) of a mask, as runs of voxels along x.
private struct ConnectedRuns {
  /// Per component the index ranges of its runs; components in the order of their first voxel.
  var components: [[Range<Int>]] = []

  init(size: [Int], nonzero values: UnsafePointer<Float>) {
    var runs: [Range<Int>] = []
    var parents: [Int] = []
    /// The first run of every row, and the number of runs at the end.
    var rowStarts: [Int] = []
    func root(of run: Int) -> Int {
      var run = run
      while parents[run] != run {
        parents[run] = parents[parents[run]]
        run = parents[run]
      }
      return run
    }
    for z in 0..<size[0] {
      for y in 0..<size[1] {
        let row = z * size[1] + y
        rowStarts.append(runs.count)
        let earlierRows = [(z - 1, y - 1), (z - 1, y), (z - 1, y + 1), (z, y - 1)].filter {
          $0.0 >= 0 && $0.1 >= 0 && $0.1 < size[1]
        }
        var x = 0
        while x < size[2] {
          guard values[row * size[2] + x] != 0 else {
            x += 1
            continue
          }
          let start = x
          while x < size[2], values[row * size[2] + x] != 0 { x += 1 }
          let run = runs.count
          runs.append(row * size[2] + start..<row * size[2] + x)
          parents.append(run)
          for (otherZ, otherY) in earlierRows {
            let other = otherZ * size[1] + otherY
            for candidate in rowStarts[other]..<rowStarts[other + 1] {
              // Touching includes diagonals: one voxel beyond either end.
              let first = runs[candidate].lowerBound - other * size[2]
              let end = runs[candidate].upperBound - other * size[2]
              guard first <= x, end >= start else { continue }
              let (a, b) = (root(of: run), root(of: candidate))
              parents[max(a, b)] = min(a, b)
            }
          }
        }
      }
    }
    var numbers: [Int: Int] = [:]
    for run in runs.indices {
      let representative = root(of: run)
      if let number = numbers[representative] {
        components[number].append(runs[run])
      } else {
        numbers[representative] = components.count
        components.append([runs[run]])
      }
    }
  }
}
