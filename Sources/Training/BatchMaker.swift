import Augmentation
import Datasets
import Preprocessing
import TensorCore

/// Draws, reads, augments and stacks the patches of a batch.
///
/// nnU-Net: `nnUNetDataLoader.generate_train_batch`.
struct BatchMaker: Sendable {
  let cases: [String]
  let store: CaseStore
  let information: CaseInformation
  let sampler: PatchSampler
  let pipeline: AugmentationPipeline
  let batchSize: Int
  let isPlanar: Bool
  let hasRegions: Bool
  /// Stream `i` draws batch `i`.
  let generator: RandomGenerator

  struct Batch: Sendable {
    /// `[N, Z, Y, X, C]`, or `[N, Y, X, C]`.
    let images: Tensor
    /// One per head of the network, finest first; int16 `[N, Z, Y, X]`, or for regions uint8 `[N, Z, Y, X, R]`.
    let targets: [Tensor]
    let cases: [String]
  }

  /// The batch with this number; the same number gives the same batch.
  func batch(_ number: Int) throws -> Batch {
    var generator = RandomGenerator(seed: generator.word(at: UInt64(number)))
    let chosen = sampler.drawCases(outOf: cases.count, batchSize: batchSize, using: &generator).map { cases[$0] }
    let samples = try chosen.enumerated().map { index, identifier in
      do {
        let forced = sampler.forcesForeground(sample: index, batchSize: batchSize, using: &generator)
        let entry = try information.entry(identifier)
        let box = sampler.drawBox(
          imageShape: entry.shape, forceForeground: forced, locations: entry.locations, using: &generator)
        let patch = try store.loadPatch(identifier, box)
        return pipeline(
          TrainingSample(image: patch.data, segmentation: patch.segmentation), using: &generator)
      } catch {
        throw TrainingError.batchFailed(case: identifier, reason: "\(error)")
      }
    }
    let stacked = Augmentation.TrainingBatch(samples, isPlanar: isPlanar)
    return Batch(
      images: stacked.images, targets: stacked.targets.map { hasRegions ? bytes($0) : labels($0) }, cases: chosen)
  }

  /// `[N, Z, Y, X, 1]` to `[N, Z, Y, X]`.
  private func labels(_ target: Tensor) -> Tensor {
    target.reshaped(to: Shape(Array(target.shape.extents.dropLast())))
  }

  /// 0 and 1 as bytes, as the region losses read them.
  private func bytes(_ target: Tensor) -> Tensor {
    target.withElements(as: Int16.self) { source in
      Tensor(shape: target.shape, of: UInt8.self) { bytes in
        for index in source.indices { bytes[index] = source[index] > 0 ? 1 : 0 }
      }
    }
  }
}
