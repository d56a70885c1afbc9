import TensorCore
import Volumes

/// How many voxels of one case are what for one label or region, and the overlaps that follow from it.
public struct ConfusionCounts: Hashable, Sendable {
  public var truePositives: Int
  public var falsePositives: Int
  public var falseNegatives: Int
  public var trueNegatives: Int

  public init(truePositives: Int, falsePositives: Int, falseNegatives: Int, trueNegatives: Int) {
    self.truePositives = truePositives
    self.falsePositives = falsePositives
    self.falseNegatives = falseNegatives
    self.trueNegatives = trueNegatives
  }

  /// Voxels that carry the label in the prediction.
  public var predicted: Int { falsePositives + truePositives }
  /// Voxels that carry the label in the reference.
  public var reference: Int { falseNegatives + truePositives }

  /// `2 TP / (2 TP + FP + FN)`; NaN where neither image has the label.
  public var dice: Double {
    let union = truePositives + falsePositives + falseNegatives
    return union == 0 ? .nan : Double(2 * truePositives) / Double(union + truePositives)
  }

  /// `TP / (TP + FP + FN)`; NaN where neither image has the label.
  public var intersectionOverUnion: Double {
    let union = truePositives + falsePositives + falseNegatives
    return union == 0 ? .nan : Double(truePositives) / Double(union)
  }
}

extension ConfusionCounts {
  /// Counts for every label or region in one pass over the voxels.
  ///
  /// nnU-Net: `compute_tp_fp_fn_tn` of `nnunetv2/evaluation/evaluate_predictions.py`, which walks the image several
  /// times a class. Here the pairs (reference label, predicted label) are counted once and summed for each class.
  /// - Parameters:
  ///   - reference: label map `[1, Z, Y, X]`.
  ///   - prediction: label map of the same shape.
  ///   - ignoreLabel: voxels with this label in the reference count nowhere.
  public static func counting(
    reference: VoxelGrid<Int16>, prediction: VoxelGrid<Int16>, of targets: [LabelOrRegion], ignoreLabel: Int?
  ) -> [ConfusionCounts] {
    check(
      reference.shape == prediction.shape,
      "ConfusionCounts: reference \(reference.shape) and prediction \(prediction.shape) differ in shape")
    let pairs = LabelPairs(labels: targets.flatMap(\.labels), ignoreLabel: ignoreLabel)
    let counts = pairs.count(reference.elements, prediction.elements)
    let side = pairs.classCount
    // The last row and column hold ignored voxels, so they are left out.
    let total = (0..<side).reduce(0) { sum, row in sum + (0..<side).reduce(0) { $0 + counts[row * (side + 1) + $1] } }
    return targets.map { target in
      let members = Set(target.labels.compactMap { pairs.index(of: $0) })
      var (both, inReference, inPrediction) = (0, 0, 0)
      for row in 0..<side {
        for column in 0..<side {
          let count = counts[row * (side + 1) + column]
          let (isReference, isPrediction) = (members.contains(row), members.contains(column))
          if isReference { inReference += count }
          if isPrediction { inPrediction += count }
          if isReference && isPrediction { both += count }
        }
      }
      return ConfusionCounts(
        truePositives: both, falsePositives: inPrediction - both, falseNegatives: inReference - both,
        trueNegatives: total - inReference - inPrediction + both)
    }
  }
}

/// Turns labels into small numbers and counts pairs of them.
private struct LabelPairs {
  /// Labels that matter, plus one class for all others (index 0).
  let classCount: Int
  private let labelIndices: [Int: Int]
  private let referenceTable: [UInt16]
  private let predictionTable: [UInt16]

  init(labels: [Int], ignoreLabel: Int?) {
    let known = Set(labels).sorted().filter { Int16(exactly: $0) != nil }
    labelIndices = Dictionary(uniqueKeysWithValues: zip(known, 1...))
    classCount = known.count + 1
    var table = [UInt16](repeating: 0, count: 1 << 16)
    for (label, index) in labelIndices { table[Int(UInt16(truncatingIfNeeded: label))] = UInt16(index) }
    predictionTable = table
    if let ignoreLabel, Int16(exactly: ignoreLabel) != nil {
      table[Int(UInt16(truncatingIfNeeded: ignoreLabel))] = UInt16(classCount)
    }
    referenceTable = table
  }

  func index(of label: Int) -> Int? { labelIndices[label] }

  /// A square of `classCount + 1` rows (reference) and columns (prediction); the last row holds ignored voxels.
  func count(_ reference: [Int16], _ prediction: [Int16]) -> [Int] {
    let side = classCount + 1
    // Four tables: neighbours mostly fall into the same field, and one counter would wait for itself.
    var counts = [Int](repeating: 0, count: 4 * side * side)
    reference.withUnsafeBufferPointer { reference in
      prediction.withUnsafeBufferPointer { prediction in
        referenceTable.withUnsafeBufferPointer { referenceTable in
          predictionTable.withUnsafeBufferPointer { predictionTable in
            counts.withUnsafeMutableBufferPointer { counts in
              for voxel in 0..<reference.count {
                let row = Int(referenceTable[Int(UInt16(bitPattern: reference[voxel]))])
                let column = Int(predictionTable[Int(UInt16(bitPattern: prediction[voxel]))])
                counts[((voxel & 3) * side + row) * side + column] &+= 1
              }
            }
          }
        }
      }
    }
    let square = side * side
    return (0..<square).map { counts[$0] + counts[square + $0] + counts[2 * square + $0] + counts[3 * square + $0] }
  }
}
