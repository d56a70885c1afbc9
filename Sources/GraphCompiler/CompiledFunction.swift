import Logging
import Synchronization
import TensorCore

/// What a function gives: outputs, new values for some of its inputs, and anything else that follows from the shapes.
public struct FunctionResult<Note: Sendable>: Sendable {
  public var outputs: [Tensor]
  /// By the input's number: the value that takes its place, of its shape and type.
  public var updates: [Int: Tensor]
  public var note: Note

  public init(outputs: [Tensor], updates: [Int: Tensor], note: Note) {
    self.outputs = outputs
    self.updates = updates
    self.note = note
  }
}

/// A function of tensors that is traced once for a range of shapes, optimised, and run in planned memory.
///
/// The function must compute with tensors alone. If it cannot be compiled, that is said once and it runs as it is, with
/// the same results. One compilation serves every shape inside the ranges of its named dimensions; other shapes are
/// compiled for themselves.
public final class CompiledFunction<Note: Sendable>: Sendable {
  public typealias Body = @Sendable ([Tensor]) -> FunctionResult<Note>

  private let name: String
  private let inputs: [InputDeclaration]
  private let variables: [String: VariableRange]
  private let options: CompilerOptions
  private let context: EvaluationContext
  private let logger: Logger
  private let warnings: CompileWarnings
  private let body: Body
  private let state = Mutex(State())

  private struct State {
    var compilations: [Compilation<Note>] = []
    var hasFailed = false
    var toldProblems = false
  }

  /// Compilations kept for shapes outside the ranges of each other; the one used longest ago goes first.
  private static var compilationLimit: Int { 8 }

  /// - Parameters:
  ///   - name: for messages.
  ///   - inputs: names and shapes of the function's arguments.
  ///   - variables: the ranges of named dimensions, nnU-Net users' `var_ranges`; a name that is missing takes any extent.
  ///   - warnings: remembers which names were warned of.
  public init(
    _ name: String, inputs: [InputDeclaration], variables: [String: VariableRange],
    options: CompilerOptions = .fromEnvironment, logger: Logger = .compilation, warnings: CompileWarnings = .shared,
    body: @escaping Body
  ) {
    self.name = name
    self.inputs = inputs
    self.variables = variables
    self.options = options
    self.logger = logger
    self.warnings = warnings
    self.body = body
    context = .standard
  }

  /// Reports of the compilations that are kept, the latest used last.
  public var reports: [CompileReport] { state.withLock { $0.compilations.map(\.report) } }

  /// Graphs of the compilations that are kept, as traced and as run.
  package var graphs: [(traced: Graph, final: Graph)] {
    state.withLock { $0.compilations.map { ($0.traced, $0.final) } }
  }

  /// Runs the function.
  ///
  /// - Parameter arguments: as declared. Those that the function updates are replaced by their new values, in place
  ///   where nobody else holds their memory.
  public func run(_ arguments: inout [Tensor]) -> (outputs: [Tensor], note: Note) {
    let given = arguments
    if options.isEnabled,
      let bound = executable(for: { () throws(CompileError) in try inputs.binding(of: given) })
    {
      return (bound.executable.run(&arguments, in: context), bound.note)
    }
    let result = body(arguments)
    for (index, value) in result.updates { arguments[index] = value }
    return (result.outputs, result.note)
  }

  /// Compiles for the shapes of these arguments, if that was not done, without running.
  /// - Returns: how, or `nil` if it failed.
  @discardableResult
  public func prepare(for arguments: [Tensor]) -> CompileReport? {
    executable { () throws(CompileError) in try inputs.binding(of: arguments) }?.report
  }

  /// Compiles for the declared ranges, if that was not done, before there are any arguments: so the peak of memory is
  /// known before the first run.
  /// - Returns: how, or `nil` if it failed, if compilation is switched off, or if a name has no largest extent.
  @discardableResult
  public func prepare() -> CompileReport? {
    var binding: ShapeBinding = [:]
    for name in inputs.variableNames {
      guard let ends = variables[name]?.ends else { return nil }
      binding[name] = ends.most
    }
    return options.isEnabled ? executable { binding }?.report : nil
  }

  private func executable(
    for binding: () throws(CompileError) -> ShapeBinding
  ) -> (executable: Executable, note: Note, report: CompileReport)? {
    state.withLock { state in
      if state.hasFailed { return nil }
      do throws(CompileError) {
        let found = try executable(for: binding(), &state)
        // The one used last is the last.
        return state.compilations.last.map { (found.executable, found.note, $0.report) }
      } catch {
        state.hasFailed = true
        logger.warning("\(name) was not compiled and runs as it is: \(error)")
        return nil
      }
    }
  }

  private func executable(
    for binding: ShapeBinding, _ state: inout State
  ) throws(CompileError) -> (executable: Executable, note: Note) {
    for index in state.compilations.indices.reversed() {
      guard let found = try state.compilations[index].executable(for: binding, self) else { continue }
      // The one used last is the last.
      state.compilations.append(state.compilations.remove(at: index))
      return found
    }
    tellProblems(&state)
    if !state.compilations.isEmpty {
      let text = binding.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value)" }.joined(separator: ", ")
      logger.info("\(name): compiling again for \(text), which no earlier compilation takes")
    }
    let isInside = binding.allSatisfy { (variables[$0.key] ?? .unknown).contains($0.value) }
    let ranges = isInside ? variables : binding.mapValues { VariableRange(DimensionRange($0)) }
    var (compilation, found) = try Compilation.make(for: binding, ranges, self)
    if found == nil {
      // Somewhere in the ranges the function does other things: the compilation serves this shape alone.
      let exact = binding.mapValues { VariableRange(DimensionRange($0)) }
      (compilation, found) = try Compilation.make(for: binding, exact, self)
      logger.info("\(name): the operations depend on the shapes, so the compilation serves only these")
    }
    guard let found else { throw .invalidGraph(pass: "tracing", "two traces of one function differ") }
    logger.info("\(compilation.report)")
    state.compilations.append(compilation)
    if state.compilations.count > Self.compilationLimit { state.compilations.removeFirst() }
    return found
  }

  /// Says once what is wrong with the options, and which names have no range.
  private func tellProblems(_ state: inout State) {
    if !state.toldProblems { for problem in options.problems { logger.warning("\(problem)") } }
    state.toldProblems = true
    for name in unknownNames where options.warns && warnings.isFirst(name) {
      logger.warning("\(name) is not in var_ranges, defaulting to unknown range")
    }
  }

  fileprivate var unknownNames: [String] { inputs.variableNames.filter { variables[$0] == nil } }

  /// Traces the function at a binding.
  fileprivate func trace(_ binding: ShapeBinding) throws(CompileError) -> (graph: Graph, note: Note) {
    let tracer = Tracer()
    let arguments = zip(inputs, inputs.shapes(binding)).map { tracer.input($0.name, $0.elementType, $1) }
    let result = body(arguments)
    return (try tracer.finish(outputs: result.outputs, updates: result.updates).compacted(), result.note)
  }

  fileprivate var pipeline: Pipeline {
    Pipeline(passes: Pipeline.standardPasses, disabled: options.disabledPasses)
  }

  fileprivate var allowsOverwriting: Bool { !options.disabledPasses.contains(BufferAssignment.inPlaceName) }

  fileprivate func optimise(
    _ graph: Graph, _ passContext: inout PassContext, observe: (String, Graph) -> Void = { _, _ in }
  ) throws(CompileError) -> Graph {
    if options.verifiesEveryPass { try graph.verify(after: "tracing") }
    return try pipeline.run(graph, &passContext, verifying: options.verifiesEveryPass, observe)
  }

  /// The graph with the ranges of all its values, and what is known of them beyond.
  ///
  /// - Parameters:
  ///   - graph: at the largest shapes.
  ///   - least: at the smallest, of the same structure.
  fileprivate func annotated(
    _ graph: Graph, _ least: Graph, _ variables: [String: VariableRange], isBounded: Bool
  ) -> Graph {
    var result = graph
    let ranges = RangeInference.ranges(graph, least, inputs: inputs.ranges(variables), isBounded: isBounded)
    for value in result.values.indices { result.values[value].range = ranges[value] }
    guard isBounded else { return result }
    let names = Set(inputs.variableNames)
    let facts = FactInference.facts(
      result, least, declarations: inputs, variables: variables.filter { names.contains($0.key) })
    for value in result.values.indices { result.values[value].facts = facts[value] }
    return result
  }

  fileprivate var evaluationContext: EvaluationContext { context }
  fileprivate var functionName: String { name }
  fileprivate var declarations: [InputDeclaration] { inputs }
  fileprivate var compilerOptions: CompilerOptions { options }
}

/// One compilation: a structure of operations and a memory plan that hold for every shape in its ranges.
private struct Compilation<Note: Sendable> {
  var report: CompileReport
  let traced: Graph
  /// At the largest shapes.
  let final: Graph
  private let variables: [String: VariableRange]
  private let plan: MemoryPlan
  private let ranges: [ShapeRange]
  private let passContext: PassContext
  private var bindings: [(binding: ShapeBinding, executable: Executable, note: Note)] = []

  /// Bindings kept with their operations' parameters; the oldest goes first.
  private static var bindingLimit: Int { 16 }

  /// - Returns: the compilation, and the executable for `binding`, which is `nil` if the operations are not the same
  ///   everywhere in the ranges.
  static func make(
    for binding: ShapeBinding, _ variables: [String: VariableRange], _ function: CompiledFunction<Note>
  ) throws(CompileError) -> (Compilation, (executable: Executable, note: Note)?) {
    let clock = ContinuousClock()
    let start = clock.now
    let ends = binding.keys.map { name in (name, (variables[name] ?? .unknown).ends) }
    let isBounded = ends.allSatisfy { $0.1 != nil }
    var (least, most) = (binding, binding)
    if isBounded {
      for (name, range) in ends {
        guard let range else { continue }
        (least[name], most[name]) = (range.least, range.most)
      }
    }
    var passContext = PassContext(
      memoryBudget: function.compilerOptions.memoryBudget, slabPositions: function.compilerOptions.slabPositions,
      evaluation: function.evaluationContext)
    let (traced, note) = try function.trace(most)
    let options = function.compilerOptions
    if options.printsGraphs { printError("graph of \(function.functionName) as traced:\n\(traced.text())") }
    var passes: [CompileReport.Pass] = []
    var final = try function.optimise(traced, &passContext) { name, graph in
      passes.append(CompileReport.Pass(name: name, operationCount: graph.nodes.count))
    }
    passContext.isRepeating = true
    var (smallest, tracedSmallest) = (final, traced)
    if least != most {
      tracedSmallest = try function.trace(least).graph
      smallest = try function.optimise(tracedSmallest, &passContext)
    }
    let isUniform = smallest.hasStructure(of: final)
    if isUniform {
      final = function.annotated(final, smallest, variables, isBounded: isBounded)
    }
    // Passes hide what must be equal, so that is asked of the graph as it was traced.
    let unproven =
      isUniform && traced.hasStructure(of: tracedSmallest)
      ? function.annotated(traced, tracedSmallest, variables, isBounded: isBounded).unprovenEqualities : []
    try final.verify(after: "range inference")
    let plan = MemoryPlan(
      final, allowsOverwriting: function.allowsOverwriting, context: function.evaluationContext)
    let duration = start.duration(to: clock.now).components
    let report = CompileReport(
      function: function.functionName, tracedOperations: traced.nodes.count, passes: passes,
      overwrites: plan.overwriteCount, arenaByteCount: plan.arenaByteCount, resultByteCount: plan.resultByteCount,
      algorithms: final.algorithmCounts(in: function.evaluationContext),
      seconds: Double(duration.seconds) + Double(duration.attoseconds) * 1e-18,
      unprovenEqualities: unproven, unknownNames: function.unknownNames)
    if options.printsGraphs {
      let text = final.text(algorithmsIn: function.evaluationContext)
      printError("graph of \(function.functionName) after all passes:\n\(text)")
    }
    if options.printsPasses {
      for pass in passes {
        printError("\(function.functionName): \(pass.operationCount) operations after \(pass.name)")
      }
    }
    var compilation = Compilation(
      report: report, traced: traced, final: final, variables: variables, plan: plan,
      ranges: final.values.map(\.range), passContext: passContext)
    guard isUniform else { return (compilation, nil) }
    if binding == most {
      let executable = Executable(graph: final, plan: plan)
      compilation.bindings = [(binding, executable, note)]
      return (compilation, (executable, note))
    }
    return (compilation, try compilation.executable(for: binding, function))
  }

  private init(
    report: CompileReport, traced: Graph, final: Graph, variables: [String: VariableRange], plan: MemoryPlan,
    ranges: [ShapeRange], passContext: PassContext
  ) {
    self.report = report
    self.traced = traced
    self.final = final
    self.variables = variables
    self.plan = plan
    self.ranges = ranges
    self.passContext = passContext
  }

  /// The graph with its parameters for these shapes, or `nil` if the compilation does not hold for them.
  mutating func executable(
    for binding: ShapeBinding, _ function: CompiledFunction<Note>
  ) throws(CompileError) -> (executable: Executable, note: Note)? {
    guard binding.allSatisfy({ (variables[$0.key] ?? .unknown).contains($0.value) }) else { return nil }
    if let known = bindings.first(where: { $0.binding == binding }) { return (known.executable, known.note) }
    var repeating = passContext
    let (traced, note) = try function.trace(binding)
    var graph = try function.optimise(traced, &repeating)
    guard graph.hasStructure(of: final), zip(graph.values, ranges).allSatisfy({ $1.contains($0.shape) }),
      zip(graph.values, final.values).allSatisfy({ $1.foresees($0.shape, at: binding) })
    else { return nil }
    for value in graph.values.indices { graph.values[value].range = ranges[value] }
    let fits = plan.fits(
      graph, allowsOverwriting: function.allowsOverwriting, context: function.evaluationContext)
    let executable = Executable(
      graph: graph,
      plan: fits
        ? plan
        : MemoryPlan(graph, allowsOverwriting: function.allowsOverwriting, context: function.evaluationContext))
    bindings.append((binding, executable, note))
    if bindings.count > Self.bindingLimit { bindings.removeFirst() }
    return (executable, note)
  }
}

extension Logger {
  /// Where functions say how they were compiled unless they are told otherwise.
  public static var compilation: Logger { Logger(label: "nnunet.compile") }
}
