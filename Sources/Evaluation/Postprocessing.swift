import Datasets
import Foundation
import TensorCore
import Volumes

/// Steps that remove what is probably wrong from a segmentation, chosen on cross-validation results.
///
/// nnU-Net: `nnunetv2/postprocessing/remove_connected_components.py`.
public struct Postprocessing: Sendable, Hashable {
  /// Sets all but the largest connected component to background.
  public enum Step: Sendable, Hashable {
    /// All foreground labels taken together.
    case keepLargestForeground([Int])
    case keepLargest(LabelOrRegion)

    /// The labels whose union must be one component.
    public var labels: [Int] {
      switch self {
      case .keepLargestForeground(let labels): labels
      case .keepLargest(let target): target.labels
      }
    }
  }

  /// In the order in which they are applied.
  public var steps: [Step]

  public init(steps: [Step]) { self.steps = steps }

  /// Applies all steps to a label map `[1, Z, Y, X]`.
  ///
  /// Components touch over faces, edges and corners; several components of the largest size are all kept.
  public func applied(to segmentation: VoxelGrid<Int16>) -> VoxelGrid<Int16> {
    var result = segmentation
    for step in steps {
      let labels = Set(step.labels.compactMap { Int16(exactly: $0) })
      let mask = VoxelGrid(shape: result.shape, elements: result.elements.map { labels.contains($0) })
      let components = ConnectedComponents(mask)
      guard components.sizes.count > 1 else { continue }
      let kept = components.largest
      for index in mask.elements.indices where mask.elements[index] && !kept.elements[index] {
        result.elements[index] = 0
      }
    }
    return result
  }
}

extension Postprocessing {
  static let functionName = "remove_all_but_largest_component_from_segmentation"

  /// `postprocessing_fns` and `postprocessing_kwargs` as nnU-Net writes them.
  var jsonEntries: JSONValue.Object {
    [
      "postprocessing_fns": .array(steps.map { _ in .string(Self.functionName) }),
      "postprocessing_kwargs": .array(
        steps.map { step in
          switch step {
          case .keepLargest(.label(let label)): ["labels_or_regions": .integer(label)]
          case .keepLargest(.region(let labels)), .keepLargestForeground(let labels):
            ["labels_or_regions": JSONValue(labels)]
          }
        }),
    ]
  }

  /// Reads the steps from `postprocessing.json`. A list of labels stands for their union, whether it was written for
  /// the foreground or for a region.
  public init(json file: URL) throws {
    let root = try JSONField(contentsOf: file)
    let functions = try root.field("postprocessing_fns").strings()
    let arguments = try root.field("postprocessing_kwargs").elements()
    guard functions.count == arguments.count else {
      throw EvaluationError.unreadableSteps(
        file: file.path, problem: "\(functions.count) functions but \(arguments.count) sets of arguments")
    }
    steps = try zip(functions, arguments).map { function, arguments in
      guard function == Self.functionName else {
        throw EvaluationError.unreadableSteps(file: file.path, problem: "the function '\(function)' is unknown")
      }
      let labels = try arguments.field("labels_or_regions")
      if let label = labels.value.int { return .keepLargest(.label(label)) }
      return .keepLargest(.region(try labels.ints()))
    }
  }
}

extension Postprocessing {
  /// Applies the steps to every segmentation of a folder, several at a time.
  ///
  /// nnU-Net: `apply_postprocessing_to_folder`.
  /// - Returns: the files that could not be done, with their reasons; the others are written.
  public func apply(
    to inputFolder: URL, writingTo outputFolder: URL, fileEnding: String, readerWriter: any ImageReaderWriter,
    threads: Int?, caseDone: @Sendable (Int, Int) -> Void
  ) throws -> [CaseFailure] {
    let names = try fileNames(in: inputFolder, ending: fileEnding)
    guard !names.isEmpty else { throw EvaluationError.noFiles(folder: inputFolder.path, ending: fileEnding) }
    try FileManager.default.makeFolder(outputFolder)
    let outcomes = inParallel(names, threads: threads, done: caseDone) { name in
      let (segmentation, properties) = try readerWriter.readSegmentation(inputFolder.appendingPathComponent(name))
      try readerWriter.writeSegmentation(
        applied(to: segmentation), to: outputFolder.appendingPathComponent(name), properties: properties)
    }
    return zip(names, outcomes).compactMap { name, outcome in
      if case .failure(let error) = outcome { CaseFailure(identifier: name, reason: "\(error)") } else { nil }
    }
  }
}
