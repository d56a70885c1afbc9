import Archives
import Foundation
import Preprocessing
import TensorCore
import Volumes

/// The files beside a segmentation that nnU-Net's ensembling reads.
package enum PredictionFiles {
  /// `CASE.npz` with the array `probabilities`, float32 `[C, Z, Y, X]`, class by class, compressed on all threads.
  /// - Parameter body: is given what appends the probabilities of the next class.
  static func writeProbabilities<Result>(
    shape: [Int], to file: URL, _ body: (_ append: ([Float]) throws -> Void) throws -> Result
  ) throws -> Result {
    try NumPyArchiveWriter.create(
      atomicallyAt: file.path, compressingWith: { WorkerPool.shared.run(tasks: $0, $1) },
      { writer in
        try writer.begin("probabilities", shape: shape, kind: .float32)
        return try body { try writer.append($0) }
      })
  }

  /// `CASE.pkl` with the properties as nnU-Net pickles them.
  package static func write(properties: CaseProperties, to file: URL) throws {
    try Pickle.write(.dictionary(try pickled(properties)), atomicallyAt: file.path)
  }

  static func pickled(_ properties: CaseProperties) throws -> PickleDictionary {
    func floats(_ values: [Double]) -> [PickleValue] { values.map { .float($0) } }
    func integers(_ values: [Int]) -> [PickleValue] { values.map { .integer($0) } }
    var result = PickleDictionary()
    if let geometry = properties.image.sitkStuff {
      result["sitk_stuff"] = .dictionary(
        PickleDictionary([
          "spacing": .tuple(floats(geometry.spacing)), "origin": .tuple(floats(geometry.origin)),
          "direction": .tuple(floats(geometry.direction)),
        ]))
    }
    if let geometry = properties.image.nibabelStuff {
      func matrix(_ rows: [[Double]]) throws -> PickleValue {
        .array(try NumPyArray(shape: [4, 4], rows.flatMap { $0 }))
      }
      var stuff = PickleDictionary(["original_affine": try matrix(geometry.originalAffine)])
      if let affine = geometry.reorientedAffine { stuff["reoriented_affine"] = try matrix(affine) }
      result["nibabel_stuff"] = .dictionary(stuff)
    }
    result["spacing"] = .list(floats(properties.image.spacing))
    result["shape_before_cropping"] = .tuple(integers(properties.shapeBeforeCropping))
    let box = properties.boxUsedForCropping
    result["bbox_used_for_cropping"] = .list(zip(box.lower, box.upper).map { .list(integers([$0, $1])) })
    result["shape_after_cropping_and_before_resampling"] = .tuple(
      integers(properties.shapeAfterCroppingAndBeforeResampling))
    return result
  }
}
