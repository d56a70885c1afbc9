import Archives
import Foundation

extension Postprocessing {
  private static let functionReference = "nnunetv2.postprocessing.remove_connected_components." + functionName

  /// Writes `postprocessing.pkl` as nnU-Net's `nnUNetv2_apply_postprocessing` loads it: functions and their arguments.
  public func writePickle(to file: URL) throws {
    let arguments = steps.map { step -> PickleValue in
      let value: PickleValue =
        switch step {
        case .keepLargestForeground(let labels): .list(labels.map { .integer($0) })
        case .keepLargest(.label(let label)): .integer(label)
        case .keepLargest(.region(let labels)): .tuple(labels.map { .integer($0) })
        }
      return .dictionary(PickleDictionary(["labels_or_regions": value]))
    }
    let functions = steps.map { _ in PickleValue.classReference(Self.functionReference) }
    try Pickle.write(.tuple([.list(functions), .list(arguments)]), atomicallyAt: file.path)
  }

  /// Reads `postprocessing.pkl`, ours or nnU-Net's. Nothing in it is run; unknown functions are refused by name.
  public init(pickle file: URL) throws {
    let root = try Pickle.read(
      path: file.path, allowing: PickleClasses.numPy.union(PickleClasses([Self.functionReference])))
    func unreadable(_ problem: String) -> EvaluationError {
      EvaluationError.unreadableSteps(file: file.path, problem: problem)
    }
    guard let parts = root.elements, parts.count == 2, let functions = parts[0].elements,
      let arguments = parts[1].elements, functions.count == arguments.count
    else { throw unreadable("expected a list of functions and a list of their arguments") }
    steps = try zip(functions, arguments).map { function, arguments in
      guard function == .classReference(Self.functionReference) else {
        throw unreadable("expected the function \(Self.functionName)")
      }
      guard let value = arguments["labels_or_regions"] else { throw unreadable("labels_or_regions is missing") }
      if let label = Self.label(value) { return .keepLargest(.label(label)) }
      guard let elements = value.elements else { throw unreadable("labels_or_regions is neither a label nor a list") }
      var labels: [Int] = []
      for element in elements {
        // A list may hold regions beside labels; their union is meant.
        if let label = Self.label(element) {
          labels.append(label)
        } else if let members = element.elements?.map(Self.label), members.allSatisfy({ $0 != nil }) {
          labels += members.compactMap { $0 }
        } else {
          throw unreadable("labels_or_regions holds something that is no label")
        }
      }
      if case .tuple = value { return .keepLargest(.region(labels)) }
      return .keepLargestForeground(labels)
    }
  }

  private static func label(_ value: PickleValue) -> Int? { value.integer ?? value.numPyScalar?.integer }

  /// Reads the steps from a `.pkl` or a `.json` file.
  public init(contentsOf file: URL) throws {
    guard FileManager.default.fileExists(atPath: file.path) else {
      throw EvaluationError.fileMissing(
        file: file.path, advice: "Let nnUNetv2_determine_postprocessing write it, or check the path")
    }
    if file.pathExtension == "json" {
      try self.init(json: file)
    } else {
      try self.init(pickle: file)
    }
  }
}
