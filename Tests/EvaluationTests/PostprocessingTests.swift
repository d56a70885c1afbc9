import Datasets
import Evaluation
import Foundation
import TensorTestSupport
import Testing
import Volumes

struct PostprocessingTests {
  static let cases = ["class", "foreground", "none", "regions", "regions_class", "ties"]

  @Test(arguments: cases)
  func searchEqualsReference(_ name: String) throws {
    guard let folder = Golden.folder("evaluation/postprocessing_\(name)") else { return }
    try withTemporaryFolder { temporary in
      let predictions = temporary.appendingPathComponent("pred")
      try FileManager.default.copyItem(at: folder.appendingPathComponent("pred"), to: predictions)
      try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: predictions.path)
      let description = try DatasetDescription(contentsOf: folder.appendingPathComponent("dataset.json"))
      let search = try PostprocessingSearch(
        predictionFolder: predictions, referenceFolder: folder.appendingPathComponent("ref"),
        description: description, readerWriter: SimpleITKReaderWriter())
      let result = try search.runAndWrite(threads: nil, keepsFiles: true, trialDone: { _ in })
      let expected = folder.appendingPathComponent("expected")
      let steps = predictions.appendingPathComponent("postprocessing.json")
      #expect(
        try String(contentsOf: steps, encoding: .utf8)
          == String(contentsOf: expected.appendingPathComponent("postprocessing.json"), encoding: .utf8))
      try expectSameSegmentations(
        predictions.appendingPathComponent("postprocessed"), expected.appendingPathComponent("postprocessed"))

      // Steps read from any of the three files do the same to other predictions.
      for file in [
        steps, predictions.appendingPathComponent("postprocessing.pkl"),
        expected.appendingPathComponent("postprocessing.pkl"),
      ] {
        let read = try Postprocessing(contentsOf: file)
        #expect(read.steps.map { Set($0.labels) } == result.postprocessing.steps.map { Set($0.labels) })
        let output = temporary.appendingPathComponent(UUID().uuidString)
        let failures = try read.apply(
          to: folder.appendingPathComponent("test"), writingTo: output, fileEnding: ".nii.gz",
          readerWriter: SimpleITKReaderWriter(), threads: nil, caseDone: { _, _ in })
        #expect(failures.isEmpty)
        try expectSameSegmentations(output, expected.appendingPathComponent("test_postprocessed"))
      }
    }
  }
}

/// Every segmentation in `expected` is in `folder`, voxel by voxel, with its geometry.
func expectSameSegmentations(_ folder: URL, _ expected: URL) throws {
  let names = try FileManager.default.contentsOfDirectory(atPath: expected.path).filter { $0.hasSuffix(".nii.gz") }
  #expect(!names.isEmpty)
  for name in names {
    let reader = SimpleITKReaderWriter()
    let (found, properties) = try reader.readSegmentation(folder.appendingPathComponent(name))
    let (wanted, wantedProperties) = try reader.readSegmentation(expected.appendingPathComponent(name))
    #expect(found == wanted, "\(name)")
    #expect(properties == wantedProperties, "\(name)")
  }
}
