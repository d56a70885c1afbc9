// The examples of docs/how-to/use-from-swift.md; `UseFromSwiftTests` holds the page to this file and runs them.
// docs: begin
import Foundation
import Inference

/// Segments one image, given by one file per channel.
func segment(_ image: [URL], model: URL, writingTo result: URL) throws {
  let predictor = try Predictor(modelFolder: model, folds: ["0"])
  let (voxels, properties) = try predictor.readerWriter.readImages(image)
  let prediction = try predictor.predict(voxels, properties: properties) { tiles in
    print("\(tiles.tilesDone) of \(tiles.tileCount) tiles")
  }
  try predictor.readerWriter.writeSegmentation(prediction.segmentation, to: result, properties: properties)
}

/// The mean probability of every class, or `nil` if it takes longer than `seconds`.
func meanProbabilities(_ image: [URL], predictor: Predictor, seconds: Double) throws -> [Float]? {
  let cancellation = Cancellation()
  DispatchQueue.global().asyncAfter(deadline: .now() + seconds) { cancellation.cancel() }
  let (voxels, properties) = try predictor.readerWriter.readImages(image)
  do {
    let prediction = try predictor.predict(
      voxels, properties: properties, keepsProbabilities: true, cancellation: cancellation)
    guard let probabilities = prediction.probabilities else { return nil }
    let count = probabilities.voxelCount
    return (0..<probabilities.channelCount).map { channel in
      probabilities.elements[channel * count..<(channel + 1) * count].reduce(0, +) / Float(count)
    }
  } catch is CancellationError {
    return nil
  }
}

/// Predicts a folder as `nnUNetv2_predict_from_modelfolder` does, and returns the cases that failed.
func predictFolder(_ images: URL, model: URL, writingTo results: URL) throws -> [String] {
  let predictor = try Predictor(
    modelFolder: model, options: PredictionOptions(stepSize: 0.5, usesMirroring: false))
  let run = try PredictionRun(
    predictor: predictor, settings: .init(inputFolder: images, outputFolder: results, memoryLimit: 8_000_000_000))
  let report = try run.run(progress: SilentProgress())
  return report.failures.map(\.identifier)
}
// docs: end
