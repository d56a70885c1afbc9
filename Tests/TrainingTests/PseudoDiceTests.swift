import Datasets
import TensorCore
import Testing

import Training

@Suite struct PseudoDiceTests {
  private func labels(_ json: JSONValue, order: [Int]? = nil) throws -> LabelManager {
    var description: JSONValue.Object = ["channel_names": ["0": "MR"], "labels": json, "file_ending": ".nii.gz"]
    if let order { description["regions_class_order"] = JSONValue(order) }
    return try LabelManager(DatasetDescription(json: .object(description)))
  }

  @Test func labelsAreCountedByHand() throws {
    var dice = PseudoDice(labels: try labels(["background": 0, "a": 1, "b": 2]))
    // Predictions 0 1 2 1 2 and, with equal logits, the first.
    let logits = Tensor(
      [9, 0, 0, 0, 9, 0, 0, 0, 9, 0, 9, 0, 0, 0, 9, 5, 5, 5] as [Float], shape: [1, 6, 3])
    dice.add(logits: logits, target: Tensor([0, 1, 1, 2, 2, 1] as [Int16], shape: [1, 6]))
    #expect(dice.truePositives == [1, 1] && dice.falsePositives == [1, 1] && dice.falseNegatives == [2, 1])
    #expect(dice.perClass == [2.0 / 5, 2.0 / 4])
  }

  @Test func ignoredVoxelsCountNowhereAndAbsentClassesAreNaN() throws {
    var dice = PseudoDice(labels: try labels(["background": 0, "a": 1, "b": 2, "ignore": 3]))
    dice.add(
      logits: Tensor([0, 9, 0, 0, 9, 0] as [Float], shape: [1, 2, 3]),
      target: Tensor([3, 1] as [Int16], shape: [1, 2]))
    #expect(dice.truePositives == [1, 0] && dice.falsePositives == [0, 0])
    #expect(dice.perClass[0] == 1 && dice.perClass[1].isNaN)
  }

  @Test func regionsOverlapAndTheLastChannelIgnores() throws {
    var dice = PseudoDice(
      labels: try labels(["background": 0, "whole": [1, 2], "core": [2], "ignore": 3], order: [1, 2]))
    let logits = Tensor([1, -1, 1, 1, -1, -1, 1, 1] as [Float], shape: [1, 4, 2])
    let target = Tensor([1, 0, 0, 1, 0, 0, 1, 1, 0, 1, 1, 1] as [UInt8], shape: [1, 4, 3])
    dice.add(logits: logits, target: target)
    #expect(dice.truePositives == [2, 0] && dice.falsePositives == [0, 1] && dice.falseNegatives == [1, 1])
  }
}
