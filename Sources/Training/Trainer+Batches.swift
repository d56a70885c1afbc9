import Augmentation
import Foundation
import TensorCore

extension Trainer {
  /// Makes batches in the background, from number `first` on.
  ///
  /// - Parameters:
  ///   - cases: drawn with replacement.
  ///   - augmented: whether patches are augmented as in training, or taken as they are.
  func batches(
    of cases: [String], augmented: Bool, generator: RandomGenerator, first: Int
  ) -> Prefetcher<BatchMaker.Batch> {
    let geometry = augmentation.geometry
    let maker = BatchMaker(
      cases: cases, store: caseStore, information: caseInformation,
      sampler: PatchSampler(
        patchSize: augmented ? geometry.initialPatchSize : geometry.patchSize, finalPatchSize: geometry.patchSize,
        foregroundFraction: run.settings.foregroundOversampling, hasIgnoreLabel: run.labels.hasIgnoreLabel),
      pipeline: augmented ? .training(augmentation) : .validation(augmentation),
      batchSize: run.configuration.batchSize, isPlanar: geometry.patchSize.count == 2,
      hasRegions: run.labels.hasRegions, generator: generator)
    let threads = augmented ? Self.augmentationThreadCount : max(1, Self.augmentationThreadCount / 2)
    return Prefetcher(threads: threads, capacity: threads + 2, first: first) { try maker.batch($0) }
  }

  /// `nnUNet_n_proc_DA`, or as many threads as compute; they are idle most of the time.
  static var augmentationThreadCount: Int {
    if let text = ProcessInfo.processInfo.environment["nnUNet_n_proc_DA"], let count = Int(text), count >= 0 {
      return max(1, count)
    }
    return min(12, WorkerPool.shared.threadCount)
  }
}
