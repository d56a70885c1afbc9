import Augmentation
import TensorCore
import Testing
import Volumes

@Suite struct TrainingBatchTests {
  @Test(arguments: [1, 2, 3, 4, 7], [false, true])
  func axesTurn(channels: Int, isPlanar: Bool) {
    let size = [isPlanar ? 1 : 3, 5, 37]
    let count = size.reduce(1, *)
    let samples = (0..<3).map { index -> TrainingSample in
      var sample = TrainingSample(
        image: VoxelGrid(
          shape: [channels] + size, elements: (0..<channels * count).map { Float(index * 10_000 + $0) }),
        segmentation: VoxelGrid(shape: [1] + size, repeating: 0))
      sample.targets = [
        VoxelGrid(shape: [channels] + size, elements: (0..<channels * count).map { Int16(index * 1000 + $0 % 997) }),
        VoxelGrid(shape: [1, 1, 2, 3], elements: (0..<6).map { Int16(index + $0) }),
      ]
      return sample
    }
    let batch = TrainingBatch(samples, isPlanar: isPlanar)
    let spatial = isPlanar ? Array(size[1...]) : size
    #expect(batch.images.shape.extents == [3] + spatial + [channels])
    #expect(
      batch.targets.map(\.shape.extents) == [[3] + spatial + [channels], isPlanar ? [3, 2, 3, 1] : [3, 1, 2, 3, 1]])
    let images = batch.images.elements()
    let labels = batch.targets[0].withElements(as: Int16.self) { Array($0) }
    var wrong = 0
    for n in 0..<3 {
      for voxel in 0..<count {
        for c in 0..<channels {
          let index = (n * count + voxel) * channels + c
          if images[index] != samples[n].image.elements[c * count + voxel] { wrong += 1 }
          if labels[index] != samples[n].targets[0].elements[c * count + voxel] { wrong += 1 }
        }
      }
    }
    #expect(wrong == 0)
    #expect(batch.targets[1].withElements(as: Int16.self) { $0[6] } == 1)
  }
}
