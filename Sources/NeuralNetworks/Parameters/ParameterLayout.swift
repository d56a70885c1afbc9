import TensorCore

/// How a parameter or buffer starts.
public enum Initialization: Codable, Hashable, Sendable {
  case constant(Float)
  /// Normal with standard deviation `sqrt(2 / (1 + slope^2)) / sqrt(fanIn)`.
  ///
  /// He, Zhang, Ren, Sun: "Delving deep into rectifiers", ICCV 2015; as `torch.nn.init.kaiming_normal_`.
  case kaimingNormal(fanIn: Int, negativeSlope: Float)
}

/// Where a module finds one of its tensors in a `ParameterSet`.
public struct ParameterReference: Hashable, Sendable {
  package let index: Int
}

/// The names, shapes and order of everything a network learns or keeps, as PyTorch's state dictionary lists them.
///
/// Each tensor is stored once under its first name; PyTorch lists many a second time (`convs.0.conv.weight` is also
/// `convs.0.all_modules.0.weight`, and the encoder comes again under `decoder.encoder`), which `stateNames` repeats.
public struct ParameterLayout: Hashable, Sendable {
  public enum Role: Hashable, Sendable {
    /// Trained by an optimizer.
    case trainable
    /// Kept up to date by forward passes in training: running statistics.
    case buffer
  }

  public struct Entry: Hashable, Sendable {
    /// PyTorch's first name for it.
    public let name: String
    /// PyTorch's axis order: convolution weights are `[O, I, kz, ky, kx]`, transposed ones `[I, O, kz, ky, kx]`.
    public let shape: Shape
    public let elementType: ElementType
    public let role: Role
    public let initialization: Initialization
  }

  public struct StateName: Hashable, Sendable {
    public let name: String
    /// The position in `entries`.
    public let entry: Int
  }

  /// Each stored tensor once, in PyTorch's order.
  public private(set) var entries: [Entry] = []
  /// Every name of PyTorch's state dictionary, aliases among them, in its order.
  public private(set) var stateNames: [StateName] = []
  private var positions: [String: Int] = [:]

  init() {}

  /// The entries an optimizer trains, in the order of `net.parameters()`.
  public var trainable: [Int] { entries.indices.filter { entries[$0].role == .trainable } }

  /// The names of the trainable entries, in the order of `net.parameters()`.
  public var trainableNames: [String] { entries.filter { $0.role == .trainable }.map(\.name) }

  /// The number of trained numbers.
  public var trainableCount: Int { entries.reduce(0) { $0 + ($1.role == .trainable ? $1.shape.count : 0) } }

  /// The position in `entries` of the tensor that has this name or alias.
  public func position(of name: String) -> Int? { positions[name] }

  /// Alias to first name.
  public var aliases: [String: String] {
    var aliases: [String: String] = [:]
    for state in stateNames where state.name != entries[state.entry].name {
      aliases[state.name] = entries[state.entry].name
    }
    return aliases
  }

  mutating func add(
    _ name: String, _ shape: Shape, role: Role = .trainable, elementType: ElementType = .float32,
    _ initialization: Initialization
  ) -> ParameterReference {
    check(positions[name] == nil, "ParameterLayout: two tensors are called \(name)")
    entries.append(
      Entry(name: name, shape: shape, elementType: elementType, role: role, initialization: initialization))
    appendName(name, entry: entries.count - 1)
    return ParameterReference(index: entries.count - 1)
  }

  /// Lists everything under `prefix` again under another prefix, at this place of the state dictionary.
  mutating func alias(everythingUnder prefix: String, as other: String) {
    for state in stateNames where state.name.hasPrefix(prefix) {
      appendName(other + state.name.dropFirst(prefix.count), entry: state.entry)
    }
  }

  /// Makes the entries under `prefix` start with another value.
  mutating func setInitialization(of reference: ParameterReference?, to initialization: Initialization) {
    guard let reference else { return }
    let old = entries[reference.index]
    entries[reference.index] = Entry(
      name: old.name, shape: old.shape, elementType: old.elementType, role: old.role, initialization: initialization)
  }

  private mutating func appendName(_ name: String, entry: Int) {
    stateNames.append(StateName(name: name, entry: entry))
    positions[name] = entry
  }
}
