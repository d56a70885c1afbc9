import Augmentation
import TensorCore
import Volumes

/// The default training augmentation of 100 samples on one thread: patch 40 x 56 x 40 of the Hippocampus task, one
/// channel, three labels, three levels of deep supervision. Seeds are fixed, so every run does the same work.
let augmentationWorkloads: [Workload] = [
  Workload(name: "augment") {
    let geometry = AugmentationGeometry(patchSize: [40, 56, 40])
    let pipeline = AugmentationPipeline.training(
      AugmentationSettings(
        geometry: geometry, deepSupervisionScales: [[1, 1, 1], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]]))
    let sample = nestedSpheres(size: geometry.initialPatchSize)
    return PreparedWorkload(gflop: 0) {
      for seed in 0..<100 as Range<UInt64> {
        var generator = RandomGenerator(seed: seed)
        let result = pipeline(sample, using: &generator)
        guard result.image.spatialShape == geometry.patchSize, result.targets.count == 3,
          result.image.elements.allSatisfy({ $0.isFinite })
        else { throw WrongResult(description: "augment: sample \(seed) has shape \(result.image.shape)") }
      }
    }
  }
]

/// A noisy ball that is brightest in the middle, with an inner and an outer label.
private func nestedSpheres(size: [Int]) -> TrainingSample {
  var generator = RandomGenerator(seed: 1)
  var image = VoxelGrid<Float>(shape: [1] + size, repeating: 0)
  var labels = VoxelGrid<Int16>(shape: [1] + size, repeating: 0)
  for z in 0..<size[0] {
    for y in 0..<size[1] {
      for x in 0..<size[2] {
        let position = zip([z, y, x], size).map { 2 * Float($0) / Float($1 - 1) - 1 }
        let radius = position.reduce(0) { $0 + $1 * $1 }.squareRoot()
        image[0, z, y, x] = 1 - radius + generator.uniform() - 0.5
        labels[0, z, y, x] = radius < 0.35 ? 2 : radius < 0.6 ? 1 : 0
      }
    }
  }
  return TrainingSample(image: image, segmentation: labels)
}
