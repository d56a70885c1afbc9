import GraphCompiler
import TensorCore

/// An optimizer whose update can be a part of a compiled training step.
public protocol CompilableOptimizer: Sendable {
  associatedtype State: Sendable

  /// What the tensors are called that it keeps for each parameter, all of the parameter's shape.
  var stateNames: [String] { get }

  /// The input that holds what changes from step to step.
  func numberDeclaration(parameterCount: Int) -> InputDeclaration

  /// What that input holds in the step after those that `state` knows.
  func numbers(learningRate: Double, state: State) -> Tensor

  /// A step of one trainable parameter.
  ///
  /// - Parameters:
  ///   - index: the parameter's place among the trainable ones.
  ///   - state: the tensors of `stateNames`.
  ///   - factor: for the gradient, a scalar; NaN if no step must be taken.
  /// - Returns: the parameter and its state after the step.
  func updated(
    _ parameter: Tensor, index: Int, state: [Tensor], gradient: Tensor, factor: Tensor, numbers: Tensor
  ) -> (parameter: Tensor, state: [Tensor])

  /// Moves the tensors out of a state, so that a step can write in their memory.
  /// - Returns: for each parameter the tensors of `stateNames`; `nil` where there are none yet.
  func takeTensors(of state: inout State) -> [[Tensor]?]

  /// Puts them back after a step.
  ///
  /// - Parameter moved: the parameters that had a gradient, if the step was taken.
  func put(_ tensors: [[Tensor]?], into state: inout State, moved: [Int])
}

extension SGD: CompilableOptimizer {
  public var stateNames: [String] { ["momentum"] }

  public func numberDeclaration(parameterCount: Int) -> InputDeclaration {
    InputDeclaration("learning_rate", shape: [])
  }

  public func numbers(learningRate: Double, state: State) -> Tensor { Tensor(Float(learningRate)) }

  public func updated(
    _ parameter: Tensor, index: Int, state: [Tensor], gradient: Tensor, factor: Tensor, numbers: Tensor
  ) -> (parameter: Tensor, state: [Tensor]) {
    let step = SGDUpdate(self).apply([parameter, state[0], gradient, factor, numbers])
    return (step[0], [step[1]])
  }

  public func takeTensors(of state: inout State) -> [[Tensor]?] {
    let tensors = state.momenta.map { $0.map { [$0] } }
    state.momenta = state.momenta.map { _ in nil }
    return tensors
  }

  public func put(_ tensors: [[Tensor]?], into state: inout State, moved: [Int]) {
    state.momenta = tensors.map { $0?[0] }
  }
}

extension Adam: CompilableOptimizer {
  public var stateNames: [String] {
    ["first_moment", "second_moment"] + (usesLargestMoment ? ["largest_second_moment"] : [])
  }

  public func numberDeclaration(parameterCount: Int) -> InputDeclaration {
    InputDeclaration("step_numbers", shape: [parameterCount, AdamNumbers.count])
  }

  public func numbers(learningRate: Double, state: State) -> Tensor {
    let rows = state.steps.flatMap { steps -> [Float] in
      let numbers = numbers(learningRate: learningRate, step: steps + 1)
      return [numbers.size, numbers.root, numbers.shrink]
    }
    return Tensor(rows, shape: [state.steps.count, AdamNumbers.count])
  }

  public func updated(
    _ parameter: Tensor, index: Int, state: [Tensor], gradient: Tensor, factor: Tensor, numbers: Tensor
  ) -> (parameter: Tensor, state: [Tensor]) {
    let step = AdamUpdate(self, index: index).apply([parameter] + state + [gradient, factor, numbers])
    return (step[0], Array(step.dropFirst()))
  }

  public func takeTensors(of state: inout State) -> [[Tensor]?] {
    let tensors = state.steps.indices.map { index -> [Tensor]? in
      let kept = [state.firstMoments[index], state.secondMoments[index], state.largestSecondMoments[index]]
      return state.firstMoments[index] == nil ? nil : kept.compactMap { $0 }
    }
    let none = [Tensor?](repeating: nil, count: tensors.count)
    (state.firstMoments, state.secondMoments, state.largestSecondMoments) = (none, none, none)
    return tensors
  }

  public func put(_ tensors: [[Tensor]?], into state: inout State, moved: [Int]) {
    state.firstMoments = tensors.map { $0?[0] }
    state.secondMoments = tensors.map { $0?[1] }
    state.largestSecondMoments = tensors.map { usesLargestMoment ? $0?[2] : nil }
    for index in moved { state.steps[index] += 1 }
  }
}
