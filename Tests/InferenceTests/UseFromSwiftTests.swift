import Foundation
import Inference
import TensorTestSupport
import Testing
import Volumes

@Suite struct UseFromSwiftTests {
  /// What the page shows is what is compiled here.
  @Test func thePageShowsTheExamples() throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    let source = try String(contentsOf: folder.appendingPathComponent("UseFromSwiftExamples.swift"), encoding: .utf8)
    let page = try String(
      contentsOf: folder.appendingPathComponent("../../docs/how-to/use-from-swift.md").standardizedFileURL,
      encoding: .utf8)
    let region = try #require(
      source.components(separatedBy: "// docs: begin\n").last?.components(separatedBy: "// docs: end").first)
    // Every block of the page but the one with the package's description.
    let blocks = page.components(separatedBy: "```swift\n").dropFirst().compactMap {
      $0.components(separatedBy: "```").first
    }.filter { !$0.contains(".package(") }
    #expect(blocks.count >= 3)
    #expect(blocks.joined(separator: "\n") == region)
  }

  @Test func theExamplesWork() throws {
    guard let folder = Golden.folder("modelfolder/hippocampus_3d") else { return }
    let model = folder.appendingPathComponent("nnUNetTrainer__nnUNetPlans__3d_fullres")
    let images = folder.appendingPathComponent("imagesTs")
    let name = try #require(
      FileManager.default.contentsOfDirectory(atPath: images.path).sorted().first { $0.hasSuffix("_0000.nii.gz") })
    let image = [images.appendingPathComponent(name)]
    try withTemporaryFolder { temporary in
      let result = temporary.appendingPathComponent("one.nii.gz")
      try segment(image, model: model, writingTo: result)
      let expected = try SimpleITKReaderWriter().readSegmentation(
        folder.appendingPathComponent("expected/f0_tta/" + name.replacingOccurrences(of: "_0000", with: ""))
      ).0
      let found = try SimpleITKReaderWriter().readSegmentation(result).0
      let equal = zip(found.elements, expected.elements).count { $0 == $1 }
      #expect(Double(equal) >= 0.999 * Double(expected.elements.count))
      let predictor = try Predictor(modelFolder: model, folds: ["0"], options: PredictionOptions(usesMirroring: false))
      let means = try #require(try meanProbabilities(image, predictor: predictor, seconds: 600))
      #expect(abs(means.reduce(0, +) - 1) < 1e-3 && means.allSatisfy { $0 > 0 })
      // The page cancels after a time; when that thread gets to run is up to the system, so here it has happened.
      let (voxels, properties) = try predictor.readerWriter.readImages(image)
      let cancellation = Cancellation()
      cancellation.cancel()
      #expect(throws: CancellationError.self) {
        try predictor.predict(
          voxels, properties: properties, keepsProbabilities: true, cancellation: cancellation)
      }
      let failed = try predictFolder(images, model: model, writingTo: temporary.appendingPathComponent("all"))
      #expect(failed.isEmpty)
    }
  }
}
