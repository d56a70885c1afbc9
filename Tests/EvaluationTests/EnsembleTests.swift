import Archives
import Evaluation
import Foundation
import TensorTestSupport
import Testing

struct EnsembleTests {
  @Test(arguments: ["ensemble_labels", "ensemble_regions", "ensemble_three_members"])
  func equalsReference(_ name: String) throws {
    guard let folder = Golden.folder("evaluation/\(name)") else { return }
    let members = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasPrefix("member_") }
    #expect(members.count >= 2)
    try withTemporaryFolder { temporary in
      let ensemble = try Ensemble(
        inputFolders: members.sorted().map { folder.appendingPathComponent($0) }, outputFolder: temporary,
        datasetFile: folder.appendingPathComponent("dataset.json"),
        plansFile: folder.appendingPathComponent("plans.json"), savesProbabilities: true)
      let failures = try ensemble.run(threads: nil, caseDone: { _, _ in })
      #expect(failures.isEmpty)
      try expectSameSegmentations(temporary, folder.appendingPathComponent("expected"))
      let names = try FileManager.default.contentsOfDirectory(atPath: temporary.path).filter { $0.hasSuffix(".npz") }
      #expect(!names.isEmpty)
      for file in names {
        let found = try NumPyArchive(path: temporary.appendingPathComponent(file).path).array("probabilities")
        let expected = try Golden.array(
          "expected/" + file.dropLast(4), in: folder.appendingPathComponent("probabilities.h5"))
        expectClose(
          try found.elements(as: Float.self), shape: found.shape, expected.elements, shape: expected.shape,
          absolute: 1e-6, relativeToMaximum: 0)
      }
    }
  }
}
