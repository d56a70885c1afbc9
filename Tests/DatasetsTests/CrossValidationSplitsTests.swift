import Datasets
import Foundation
import TensorTestSupport
import Testing

@Suite struct CrossValidationSplitsTests {
  @Test func splitsEqualTheReference() throws {
    guard let folder = Golden.folder("splits") else { return }
    let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
      .filter { $0.pathExtension == "json" && $0.lastPathComponent != "rng_reference.json" }
    #expect(files.count >= 6)
    for file in files {
      let reference = try JSONField(contentsOf: file)
      let identifiers = try reference.field("identifiers").strings()
      let splits = try CrossValidationSplits(identifiers: identifiers)
      let expected = try reference.field("splits_final").elements()
      #expect(splits.folds.count == expected.count)
      for (fold, expected) in zip(splits.folds, expected) {
        #expect(try fold.train == expected.field("train").strings(), "\(file.lastPathComponent)")
        #expect(try fold.val == expected.field("val").strings(), "\(file.lastPathComponent)")
      }
      for (key, expected) in try reference.field("random_80_20").entries() {
        let fold = splits.fold(.number(try #require(Int(key))), identifiers: identifiers)
        #expect(try fold.train == expected.field("train").strings(), "\(file.lastPathComponent) fold \(key)")
        #expect(try fold.val == expected.field("val").strings(), "\(file.lastPathComponent) fold \(key)")
      }
    }
  }

  @Test func fewerThanFiveCases() {
    let error = #expect(throws: DatasetError.self) { try CrossValidationSplits(identifiers: ["a", "b", "c", "d"]) }
    #expect(error?.description.contains("4 cases") == true)
  }

  @Test func allMeansAll() throws {
    let splits = try CrossValidationSplits(identifiers: ["a", "b", "c", "d", "e"])
    let fold = splits.fold(.all, identifiers: ["a", "b"])
    #expect(fold == .init(train: ["a", "b"], val: ["a", "b"]))
    #expect(fold.overlap == ["a", "b"])
  }

  @Test func filesKeepTheirContents() throws {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("splits-\(UUID()).json")
    defer { try? FileManager.default.removeItem(at: file) }
    let splits = try CrossValidationSplits(identifiers: (0..<7).map { "case_\($0)" })
    try splits.write(to: file)
    #expect(try CrossValidationSplits(contentsOf: file) == splits)
  }

  @Test func foldSelections() {
    #expect(FoldSelection("3") == .number(3))
    #expect(FoldSelection("all") == .all)
    #expect(FoldSelection("x") == nil)
    #expect(FoldSelection("-1") == nil)
    #expect(DatasetFolders.foldFolderName(.all) == "fold_all")
    #expect(DatasetFolders.foldFolderName(.number(2)) == "fold_2")
  }
}
