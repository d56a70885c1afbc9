/// The stack machine that a pickle is a program for. It builds nodes in one flat array, so that neither sharing, nor
/// cycles, nor deep nesting cost more than the bytes that ask for them; nothing is called.
struct PickleMachine {
  enum Kind {
    case value(PickleValue)
    case list, tuple, set
    /// Children: key, value, key, value...
    case dictionary
    /// Children: the arguments.
    case object(className: String)
    case persistent
    case mark
  }

  struct Node {
    var kind: Kind
    var children: [Int] = []
    var state: Int?
  }

  let bytes: [UInt8]
  var position: Int
  let classes: PickleClasses
  let name: String
  let limits: Pickle.Limits
  var nodes: [Node] = []
  private var stack: [Int] = []
  private var memo: [Int: Int] = [:]

  init(bytes: [UInt8], position: Int, classes: PickleClasses, limits: Pickle.Limits, name: String) {
    self.bytes = bytes
    self.position = position
    self.classes = classes
    self.limits = limits
    self.name = name
  }

  /// Runs to the STOP opcode and returns the node of the result.
  mutating func run() throws -> Int {
    while true {
      let at = position
      let opcode = try byte()
      if opcode == UInt8(ascii: ".") { return try pop() }
      try execute(opcode, at: at)
    }
  }

  private mutating func execute(_ opcode: UInt8, at: Int) throws {
    switch opcode {
    case 0x80:
      let version = try byte()
      guard version <= 5 else { throw refused("protocol 0 to 5", "protocol \(version)") }
    case 0x95: try skip(integer(UInt64.self))
    case UInt8(ascii: "("): push(Node(kind: .mark))
    case UInt8(ascii: "0"): _ = try pop()
    case UInt8(ascii: "1"): _ = try popToMark()
    case UInt8(ascii: "2"): stack.append(try top())
    case UInt8(ascii: "N"): push(.none)
    case 0x88: push(.bool(true))
    case 0x89: push(.bool(false))
    case UInt8(ascii: "I"), UInt8(ascii: "L"): try pushDecimal(line(), isLong: opcode == UInt8(ascii: "L"))
    case UInt8(ascii: "J"): push(.integer(Int(try integer(Int32.self))))
    case UInt8(ascii: "K"): push(.integer(Int(try byte())))
    case UInt8(ascii: "M"): push(.integer(Int(try integer(UInt16.self))))
    case 0x8A: try pushLong(count: UInt64(byte()))
    case 0x8B: try pushLong(count: UInt64(integer(UInt32.self)))
    case UInt8(ascii: "F"): try pushFloat(line())
    case UInt8(ascii: "G"): push(.float(Double(bitPattern: UInt64(bigEndian: try integer(UInt64.self)))))
    case UInt8(ascii: "S"): push(.string(try PickleText.quoted(line(), name: name)))
    case UInt8(ascii: "V"): push(.string(try PickleText.rawUnicodeEscape(line(), name: name)))
    case UInt8(ascii: "T"): push(.string(PickleText.latin1(try take(integer(UInt32.self)))))
    case UInt8(ascii: "U"): push(.string(PickleText.latin1(try take(byte()))))
    case UInt8(ascii: "X"): push(.string(try text(integer(UInt32.self))))
    case 0x8C: push(.string(try text(byte())))
    case 0x8D: push(.string(try text(integer(UInt64.self))))
    case UInt8(ascii: "B"): push(.bytes(Array(try take(integer(UInt32.self)))))
    case UInt8(ascii: "C"): push(.bytes(Array(try take(byte()))))
    case 0x8E, 0x96: push(.bytes(Array(try take(integer(UInt64.self)))))
    default: try executeContainers(opcode, at: at)
    }
  }

  private mutating func executeContainers(_ opcode: UInt8, at: Int) throws {
    switch opcode {
    case UInt8(ascii: "]"): push(Node(kind: .list))
    case UInt8(ascii: "}"): push(Node(kind: .dictionary))
    case UInt8(ascii: ")"): push(Node(kind: .tuple))
    case 0x8F: push(Node(kind: .set))
    case UInt8(ascii: "l"): push(Node(kind: .list, children: try popToMark()))
    case UInt8(ascii: "t"): push(Node(kind: .tuple, children: try popToMark()))
    case 0x91: push(Node(kind: .set, children: try popToMark()))
    case UInt8(ascii: "d"): push(Node(kind: .dictionary, children: try evenItems(popToMark())))
    case 0x85: try pushTuple(1)
    case 0x86: try pushTuple(2)
    case 0x87: try pushTuple(3)
    case UInt8(ascii: "a"): try extend([pop()], dictionary: false)
    case UInt8(ascii: "e"): try extend(popToMark(), dictionary: false)
    case 0x90: try extend(popToMark(), dictionary: false)
    case UInt8(ascii: "s"):
      let value = try pop()
      try extend([pop(), value], dictionary: true)
    case UInt8(ascii: "u"): try extend(evenItems(popToMark()), dictionary: true)
    case UInt8(ascii: "p"): try memoize(PickleText.decimal(line(), name: name))
    case UInt8(ascii: "q"): try memoize(Int(byte()))
    case UInt8(ascii: "r"): try memoize(Int(integer(UInt32.self)))
    case 0x94: try memoize(memo.count)
    case UInt8(ascii: "g"): try recall(PickleText.decimal(line(), name: name))
    case UInt8(ascii: "h"): try recall(Int(byte()))
    case UInt8(ascii: "j"): try recall(Int(integer(UInt32.self)))
    case UInt8(ascii: "c"):
      let module = try line()
      try pushClass(module: String(decoding: module, as: UTF8.self), name: String(decoding: line(), as: UTF8.self))
    case 0x93:
      let (last, first) = (try pop(), try pop())
      guard case .value(.string(let className)) = nodes[last].kind, case .value(.string(let module)) = nodes[first].kind
      else { throw damaged("two strings for STACK_GLOBAL") }
      try pushClass(module: module, name: className)
    case UInt8(ascii: "R"), 0x81: try construct(keywords: false)
    case 0x92: try construct(keywords: true)
    case UInt8(ascii: "b"): try build()
    case UInt8(ascii: "P"): push(Node(kind: .persistent, children: [try textNode(line())]))
    case UInt8(ascii: "Q"): push(Node(kind: .persistent, children: [try pop()]))
    default:
      throw refused(
        "an opcode of the allow-list", PickleText.opcodeName(opcode) + " at position \(at)")
    }
  }

  // MARK: Input

  func damaged(_ expected: String) -> ArchiveError {
    ArchiveError(.damaged, name, expected: expected, found: "other contents before position \(position)")
  }

  private func refused(_ expected: String, _ found: String) -> ArchiveError {
    ArchiveError(.refused, name, expected: expected, found: found)
  }

  private mutating func byte() throws -> UInt8 {
    guard position < bytes.count else { throw damaged("more bytes") }
    defer { position += 1 }
    return bytes[position]
  }

  private mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws -> Value {
    let size = MemoryLayout<Value>.size
    guard size <= bytes.count - position else { throw damaged("\(size) more bytes") }
    defer { position += size }
    return bytes.withUnsafeBytes { Value(littleEndian: $0.loadUnaligned(fromByteOffset: position, as: Value.self)) }
  }

  private mutating func take(_ length: some BinaryInteger) throws -> ArraySlice<UInt8> {
    guard let length = Int(exactly: length), length <= bytes.count - position else {
      throw damaged("\(length) more bytes")
    }
    defer { position += length }
    return bytes[position..<position + length]
  }

  /// Frames only help readers of streams; their length is checked and otherwise ignored.
  private func skip(_ frameLength: UInt64) throws {
    guard frameLength <= UInt64(bytes.count - position) else { throw damaged("a frame of \(frameLength) bytes") }
  }

  private mutating func line() throws -> ArraySlice<UInt8> {
    guard let end = bytes[position...].firstIndex(of: 0x0A) else { throw damaged("the end of a line") }
    defer { position = end + 1 }
    return bytes[position..<end]
  }

  private mutating func text(_ length: some BinaryInteger) throws -> String {
    String(decoding: try take(length), as: UTF8.self)
  }

  // MARK: Stack

  private mutating func push(_ node: Node) {
    stack.append(nodes.count)
    nodes.append(node)
  }

  private mutating func push(_ value: PickleValue) { push(Node(kind: .value(value))) }

  private func top() throws -> Int {
    guard let index = stack.last, !isMark(index) else { throw damaged("a value on the stack") }
    return index
  }

  private mutating func pop() throws -> Int {
    let index = try top()
    stack.removeLast()
    return index
  }

  private func isMark(_ index: Int) -> Bool {
    if case .mark = nodes[index].kind { true } else { false }
  }

  private mutating func popToMark() throws -> [Int] {
    guard let start = stack.lastIndex(where: { isMark($0) }) else { throw damaged("a mark on the stack") }
    let items = Array(stack[(start + 1)...])
    stack.removeLast(stack.count - start)
    return items
  }

  private func evenItems(_ items: [Int]) throws -> [Int] {
    guard items.count.isMultiple(of: 2) else { throw damaged("a value for every key") }
    return items
  }

  private mutating func pushTuple(_ count: Int) throws {
    var items: [Int] = []
    for _ in 0..<count { items.append(try pop()) }
    push(Node(kind: .tuple, children: items.reversed()))
  }

  private mutating func textNode(_ line: ArraySlice<UInt8>) throws -> Int {
    nodes.append(Node(kind: .value(.string(String(decoding: line, as: UTF8.self)))))
    return nodes.count - 1
  }

  private mutating func extend(_ items: [Int], dictionary: Bool) throws {
    let target = try top()
    switch nodes[target].kind {
    case .list where !dictionary, .set where !dictionary, .dictionary where dictionary:
      nodes[target].children.append(contentsOf: items)
    default: throw damaged(dictionary ? "a dictionary on the stack" : "a list or set on the stack")
    }
  }

  private mutating func memoize(_ key: Int) throws { memo[key] = try top() }

  private mutating func recall(_ key: Int) throws {
    guard let index = memo[key] else { throw damaged("a value memoized as \(key)") }
    stack.append(index)
  }

  // MARK: Numbers

  private mutating func pushDecimal(_ line: ArraySlice<UInt8>, isLong: Bool) throws {
    var digits = String(decoding: line, as: UTF8.self)
    if !isLong, digits == "00" || digits == "01" { return push(.bool(digits == "01")) }
    if isLong, digits.hasSuffix("L") { digits.removeLast() }
    if let value = Int(digits) { return push(.integer(value)) }
    let unsigned = digits.hasPrefix("-") ? digits.dropFirst() : digits[...]
    guard !unsigned.isEmpty, unsigned.utf8.count <= 1024, unsigned.utf8.allSatisfy({ (0x30...0x39).contains($0) })
    else { throw damaged("an integer") }
    push(.bigInteger(digits))
  }

  private mutating func pushFloat(_ line: ArraySlice<UInt8>) throws {
    let digits = String(decoding: line, as: UTF8.self)
    guard let value = Double(digits) else { throw damaged("a floating-point number") }
    push(.float(value))
  }

  private mutating func pushLong(count: UInt64) throws {
    guard count <= 512 else { throw refused("an integer of at most 512 bytes", "\(count) bytes") }
    let digits = Array(try take(count))
    push(PickleText.integer(twosComplement: digits))
  }

  // MARK: Classes

  private mutating func pushClass(module: String, name className: String) throws {
    let full = module + "." + className
    guard classes.names.contains(full) || PickleBuiltins.names.contains(full) else {
      throw refused("a class of the allow-list", "'\(full)'")
    }
    push(.classReference(full))
  }

  private mutating func construct(keywords: Bool) throws {
    let keywordNode = keywords ? try pop() : nil
    let argumentNode = try pop()
    let classNode = try pop()
    guard case .value(.classReference(let className)) = nodes[classNode].kind else { throw damaged("a class to call") }
    guard case .tuple = nodes[argumentNode].kind else { throw damaged("a tuple of arguments") }
    if let keywordNode {
      guard case .dictionary = nodes[keywordNode].kind, nodes[keywordNode].children.isEmpty else {
        throw refused("a constructor without keywords", "'\(className)' with keywords")
      }
    }
    let arguments = nodes[argumentNode].children
    if PickleBuiltins.names.contains(className) {
      push(try PickleBuiltins.node(className, arguments: arguments, machine: self))
    } else {
      push(Node(kind: .object(className: className), children: arguments))
    }
  }

  private mutating func build() throws {
    let state = try pop()
    let target = try top()
    switch nodes[target].kind {
    case .object: nodes[target].state = state
    // An OrderedDict's attributes (PyTorch keeps version numbers there) say nothing about its contents.
    case .dictionary: break
    default: throw damaged("an object to give its state to")
    }
  }
}

/// The few functions of Python's own that stand for plain values.
enum PickleBuiltins {
  static let names: Set<String> = [
    "collections.OrderedDict", "_codecs.encode", "builtins.set", "builtins.frozenset", "builtins.list",
    "builtins.tuple", "builtins.dict", "builtins.bytearray", "builtins.bytes", "__builtin__.set",
    "__builtin__.frozenset", "__builtin__.bytearray",
  ]

  static func node(_ className: String, arguments: [Int], machine: PickleMachine) throws -> PickleMachine.Node {
    let kinds = arguments.map { machine.nodes[$0].kind }
    switch (className, kinds.count) {
    case ("collections.OrderedDict", 0), ("builtins.dict", 0): return .init(kind: .dictionary)
    case ("collections.OrderedDict", 1):
      // Python 2 wrote a list of [key, value] lists.
      if case .list = kinds[0] {
        var children: [Int] = []
        for pair in machine.nodes[arguments[0]].children {
          guard machine.nodes[pair].children.count == 2 else { throw machine.damaged("pairs of keys and values") }
          children += machine.nodes[pair].children
        }
        return .init(kind: .dictionary, children: children)
      }
    case ("builtins.list", 0): return .init(kind: .list)
    case ("builtins.tuple", 0): return .init(kind: .tuple)
    case ("builtins.set", 0), ("builtins.frozenset", 0), ("__builtin__.set", 0): return .init(kind: .set)
    case ("builtins.set", 1), ("builtins.frozenset", 1), ("__builtin__.set", 1), ("__builtin__.frozenset", 1):
      switch kinds[0] {
      case .list, .tuple, .set: return .init(kind: .set, children: machine.nodes[arguments[0]].children)
      default: break
      }
    case ("builtins.bytes", 0), ("builtins.bytearray", 0): return .init(kind: .value(.bytes([])))
    case ("builtins.bytearray", 1), ("builtins.bytes", 1):
      if case .value(.bytes(let bytes)) = kinds[0] { return .init(kind: .value(.bytes(bytes))) }
    case ("_codecs.encode", 2), ("builtins.bytearray", 2), ("__builtin__.bytearray", 2):
      // How protocols below 3 write bytes: as text in Latin-1.
      if case .value(.string(let text)) = kinds[0], case .value(.string(let encoding)) = kinds[1],
        ["latin1", "latin-1"].contains(encoding)
      {
        var bytes: [UInt8] = []
        for scalar in text.unicodeScalars {
          guard let byte = UInt8(exactly: scalar.value) else { throw machine.damaged("text in Latin-1") }
          bytes.append(byte)
        }
        return .init(kind: .value(.bytes(bytes)))
      }
    default: break
    }
    throw ArchiveError(
      .refused, machine.name, expected: "'\(className)' with plain arguments", found: "\(kinds.count) others")
  }
}
