import ArgumentParser
import Datasets

extension FoldSelection: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }
}

extension FoldSelection {
  /// The folds of the cross-validation.
  static let crossValidation = (0..<5).map { FoldSelection.number($0) }
}
