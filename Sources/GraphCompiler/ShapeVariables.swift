import TensorCore

/// The extents that a named dimension may take.
public struct VariableRange: Hashable, Sendable, CustomStringConvertible {
  public var range: DimensionRange
  /// Every extent is a multiple of this.
  public var divisor: Int

  public init(_ range: DimensionRange, multipleOf divisor: Int = 1) {
    check(divisor > 0, "VariableRange: the divisor \(divisor) is not positive")
    self.range = range
    self.divisor = divisor
  }

  public init(_ range: ClosedRange<Int>, multipleOf divisor: Int = 1) {
    self.init(DimensionRange(range), multipleOf: divisor)
  }

  /// Any extent at all: what a name without a declared range gets.
  public static let unknown = VariableRange(.unknown)

  public func contains(_ extent: Int) -> Bool { range.contains(extent) && extent % divisor == 0 }

  /// The smallest and the largest extent; `nil` where there is no largest, or none at all.
  package var ends: (least: Int, most: Int)? {
    guard let upper = range.upper else { return nil }
    let (least, most) = (max(range.lower, 1).roundedUp(toMultipleOf: divisor), upper / divisor * divisor)
    return least <= most ? (least, most) : nil
  }

  public var description: String { "\(range)" + (divisor == 1 ? "" : ", multiples of \(divisor)") }
}

extension Int {
  func roundedUp(toMultipleOf divisor: Int) -> Int { (self + divisor - 1) / divisor * divisor }
}

/// What an input of a compiled function is called and which shapes it takes.
public struct InputDeclaration: Hashable, Sendable {
  public enum Axis: Hashable, Sendable {
    case fixed(Int)
    /// The extent of a named dimension, divided by a number that divides all its extents.
    case named(String, dividedBy: Int)

    public static func named(_ name: String) -> Axis { .named(name, dividedBy: 1) }
  }

  public var name: String
  public var elementType: ElementType
  public var axes: [Axis]

  public init(_ name: String, _ elementType: ElementType = .float32, axes: [Axis]) {
    self.name = name
    self.elementType = elementType
    self.axes = axes
  }

  /// An input of one shape.
  public init(_ name: String, _ elementType: ElementType = .float32, shape: Shape) {
    self.init(name, elementType, axes: shape.extents.map { .fixed($0) })
  }
}

/// The extents of all named dimensions: what one call binds them to.
typealias ShapeBinding = [String: Int]

extension [InputDeclaration] {
  /// The names in the order they first appear.
  var variableNames: [String] {
    var names: [String] = []
    for declaration in self {
      for case .named(let name, _) in declaration.axes where !names.contains(name) { names.append(name) }
    }
    return names
  }

  func shapes(_ binding: ShapeBinding) -> [Shape] {
    map { declaration in
      Shape(
        declaration.axes.map { axis in
          switch axis {
          case .fixed(let extent): extent
          case .named(let name, let divisor): (binding[name] ?? 0) / divisor
          }
        })
    }
  }

  /// The ranges of the inputs for ranges of the names.
  func ranges(_ variables: [String: VariableRange]) -> [ShapeRange] {
    map { declaration in
      ShapeRange(
        declaration.axes.map { axis in
          switch axis {
          case .fixed(let extent): DimensionRange(extent)
          case .named(let name, let divisor):
            (variables[name] ?? .unknown).range.mapMonotonic { $0 / divisor }
          }
        })
    }
  }

  /// What the names are bound to by inputs of these shapes and types.
  func binding(of tensors: [Tensor]) throws(CompileError) -> ShapeBinding {
    guard tensors.count == count else {
      throw .wrongInputs("the function takes \(count) inputs, got \(tensors.count)")
    }
    var binding: ShapeBinding = [:]
    for (declaration, tensor) in zip(self, tensors) {
      let problem = "input '\(declaration.name)' is \(tensor.elementType) \(tensor.shape)"
      guard tensor.elementType == declaration.elementType, tensor.rank == declaration.axes.count else {
        throw .wrongInputs("\(problem), declared as \(declaration.elementType) of rank \(declaration.axes.count)")
      }
      for (axis, extent) in zip(declaration.axes, tensor.shape.extents) {
        switch axis {
        case .fixed(let expected):
          if extent != expected { throw .wrongInputs("\(problem), but one of its axes is declared as \(expected)") }
        case .named(let name, let divisor):
          let bound = binding[name, default: extent * divisor]
          if bound / divisor != extent { throw .wrongInputs("\(problem), which makes '\(name)' differ from \(bound)") }
          // An undivided axis knows the extent exactly.
          binding[name] = divisor == 1 ? extent : bound
        }
      }
    }
    return binding
  }
}
