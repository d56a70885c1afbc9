import ArgumentParser
import Datasets

extension FoldSelection: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }
}
