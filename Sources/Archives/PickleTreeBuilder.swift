/// Turns the machine's nodes into a tree: refuses cycles, deep nesting, and sharing that would explode when traversed.
struct PickleTreeBuilder {
  private let machine: PickleMachine
  private let limits: Pickle.Limits
  private var finished: [Built?]
  private var isOpen: [Bool]

  private struct Built {
    var value: PickleValue
    /// Values in the tree below, counted as often as they are shared.
    var count: Int
    var depth: Int
  }

  init(machine: PickleMachine, limits: Pickle.Limits) {
    self.machine = machine
    self.limits = limits
    finished = Array(repeating: nil, count: machine.nodes.count)
    isOpen = Array(repeating: false, count: machine.nodes.count)
  }

  func build(_ root: Int) throws -> PickleValue {
    var copy = self
    return try copy.visit(root, depth: 0).value
  }

  private mutating func visit(_ index: Int, depth: Int) throws -> Built {
    if let built = finished[index] {
      guard depth + built.depth <= limits.depth else { throw tooDeep() }
      return built
    }
    guard depth < limits.depth else { throw tooDeep() }
    guard !isOpen[index] else {
      throw ArchiveError(.refused, machine.name, expected: "a tree", found: "a value that contains itself")
    }
    isOpen[index] = true
    defer { isOpen[index] = false }
    let node = machine.nodes[index]
    var count = 1
    var below = 0
    var children: [PickleValue] = []
    children.reserveCapacity(node.children.count)
    func add(_ built: Built) throws {
      below = max(below, built.depth)
      count += built.count
      guard count <= limits.values else {
        throw ArchiveError(.tooLarge, machine.name, expected: "at most \(limits.values) values", found: "more")
      }
    }
    for child in node.children {
      let built = try visit(child, depth: depth + 1)
      try add(built)
      children.append(built.value)
    }
    var state: PickleValue?
    if let stateNode = node.state {
      let built = try visit(stateNode, depth: depth + 1)
      try add(built)
      state = built.value
    }
    let built = Built(value: try value(node.kind, children, state), count: count, depth: below + 1)
    finished[index] = built
    return built
  }

  private func tooDeep() -> ArchiveError {
    ArchiveError(.refused, machine.name, expected: "at most \(limits.depth) levels of nesting", found: "more")
  }

  private func value(
    _ kind: PickleMachine.Kind, _ children: [PickleValue], _ state: PickleValue?
  ) throws -> PickleValue {
    switch kind {
    case .value(let value): value
    case .list: .list(children)
    case .tuple: .tuple(children)
    case .set: .set(try unique(children))
    case .dictionary: .dictionary(try dictionary(children))
    case .object(let className): .object(PickleObject(className: className, arguments: children, state: state))
    case .persistent: .persistent(children[0])
    case .mark: throw machine.damaged("a value")
    }
  }

  /// What Python could hash; hashing other things could also cost more than the bytes that describe them.
  private func checkHashable(_ value: PickleValue) throws {
    switch value {
    case .list, .dictionary, .set, .object, .persistent:
      throw ArchiveError(
        .refused, machine.name, expected: "keys that are text, numbers or tuples of them", found: "another key")
    case .tuple(let values): for value in values { try checkHashable(value) }
    default: break
    }
  }

  private func unique(_ values: [PickleValue]) throws -> [PickleValue] {
    var seen: Set<PickleValue> = []
    for value in values { try checkHashable(value) }
    return values.filter { seen.insert($0).inserted }
  }

  /// As in Python, a key that comes again keeps its place and takes the new value.
  private func dictionary(_ children: [PickleValue]) throws -> PickleDictionary {
    var keys: [PickleValue] = []
    var values: [PickleValue] = []
    var places: [PickleValue: Int] = [:]
    for index in stride(from: 0, to: children.count, by: 2) {
      try checkHashable(children[index])
      if let place = places[children[index]] {
        values[place] = children[index + 1]
      } else {
        places[children[index]] = keys.count
        keys.append(children[index])
        values.append(children[index + 1])
      }
    }
    return PickleDictionary(keys: keys, values: values)
  }
}
