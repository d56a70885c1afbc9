import Archives
import Foundation
import Inference
import TensorTestSupport
import Testing
import Volumes

/// Predictions by processes of their own: threads, fresh starts, interrupts, full disks.
@Suite(.serialized) struct PredictProcessTests {
  let folder: URL?
  let model: URL?
  let program: URL?

  init() {
    folder = Golden.folder("modelfolder/hippocampus_3d")
    model = folder?.appendingPathComponent("nnUNetTrainer__nnUNetPlans__3d_fullres")
    // The test's executable lies beside the others.
    let own = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    let program = own.deletingLastPathComponent().appendingPathComponent("nnunet")
    let exists = FileManager.default.isExecutableFile(atPath: program.path)
    if !exists { print("SKIPPED: no \(program.path) to start") }
    self.program = exists ? program : nil
  }

  private func start(
    _ program: URL, _ arguments: [String], environment: [String: String] = [:], shell: String? = nil
  ) throws -> Process {
    let process = Process()
    let command = ["predict_from_modelfolder"] + arguments + ["--disable_progress_bar"]
    if let shell {
      process.executableURL = URL(fileURLWithPath: "/bin/bash")
      process.arguments = ["-c", shell + "; exec \"$@\"", "bash", program.path] + command
    } else {
      process.executableURL = program
      process.arguments = command
    }
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    return process
  }

  private func run(
    _ program: URL, _ arguments: [String], environment: [String: String] = [:], shell: String? = nil
  ) throws -> Int32 {
    let process = try start(program, arguments, environment: environment, shell: shell)
    process.waitUntilExit()
    return process.terminationStatus
  }

  private func results(in folder: URL) throws -> [String: Data] {
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter {
      $0.hasSuffix(".nii.gz") || $0.hasSuffix(".npz") || $0.hasSuffix(".pkl")
    }
    return try Dictionary(
      uniqueKeysWithValues: names.map { ($0, try Data(contentsOf: folder.appendingPathComponent($0))) })
  }

  /// Several cases and folds, then other weights, then the first again: the files of fresh processes with 1, 2 and 4
  /// threads.
  @Test func sameBitsInAnyProcess() throws {
    guard let folder, let model, let program else { return }
    try withTemporaryFolder { temporary in
      let input = folder.appendingPathComponent("imagesTs")
      func here(_ folds: [String], _ name: String) throws -> [String: Data] {
        let predictor = try Predictor(
          modelFolder: model, folds: folds, options: PredictionOptions(usesMirroring: false))
        let output = temporary.appendingPathComponent(name)
        let report = try PredictionRun(
          predictor: predictor,
          settings: .init(inputFolder: input, outputFolder: output, savesProbabilities: true)
        ).run(progress: SilentProgress())
        #expect(report.isComplete)
        return try results(in: output)
      }
      let first = try here(["0", "1"], "first")
      let other = try here(["1"], "other")
      #expect(first.count == 3 * (try caseCount(input)) && other != first)
      #expect(try here(["0", "1"], "again") == first)
      for threads in ["1", "2", "4"] {
        let output = temporary.appendingPathComponent("threads" + threads)
        let code = try run(
          program,
          [
            "-i", input.path, "-o", output.path, "-m", model.path, "-f", "0", "1", "--save_probabilities",
            "--disable_tta",
          ],
          environment: ["nnUNet_num_threads": threads])
        #expect(code == 0)
        #expect(try results(in: output) == first, "\(threads) threads")
      }
    }
  }

  private func caseCount(_ input: URL) throws -> Int {
    try FileManager.default.contentsOfDirectory(atPath: input.path).count { $0.hasSuffix("_0000.nii.gz") }
  }

  @Test(arguments: [SIGINT, SIGKILL])
  func stoppedRunsLeaveWholeFilesAndCanBeContinued(signal: Int32) throws {
    guard let folder, let model, let program else { return }
    try withTemporaryFolder { temporary in
      let input = temporary.appendingPathComponent("in")
      let output = temporary.appendingPathComponent("out")
      try FileManager.default.createDirectory(at: input, withIntermediateDirectories: true)
      let images = folder.appendingPathComponent("imagesTs")
      let sources = try FileManager.default.contentsOfDirectory(atPath: images.path).sorted()
      let count = 6
      for index in 0..<count {
        try FileManager.default.copyItem(
          at: images.appendingPathComponent(sources[index % sources.count]),
          to: input.appendingPathComponent("case_\(100 + index)_0000.nii.gz"))
      }
      let arguments = ["-i", input.path, "-o", output.path, "-m", model.path, "-f", "0", "--save_probabilities"]
      let process = try start(program, arguments, environment: ["nnUNet_num_threads": "1"])
      while process.isRunning, !FileManager.default.fileExists(atPath: output.path + "/case_100.nii.gz") {
        Thread.sleep(forTimeInterval: 0.01)
      }
      kill(process.processIdentifier, signal)
      process.waitUntilExit()
      #expect(process.terminationReason == (signal == SIGINT ? .exit : .uncaughtSignal))
      let reader = SimpleITKReaderWriter()
      let left = try results(in: output)
      for name in left.keys {
        let file = output.appendingPathComponent(name)
        if name.hasSuffix(".npz") {
          let array = try NumPyArchive(path: file.path).array("probabilities")
          #expect(array.shape.count == 4)
        } else if name.hasSuffix(".pkl") {
          let properties = try Pickle.read(path: file.path)
          #expect(properties["spacing"]?.numbers?.count == 3)
        } else {
          _ = try reader.readSegmentation(file)
        }
      }
      let finished = left.keys.filter { $0.hasSuffix(".nii.gz") }.count
      #expect(finished < count, "the signal came too late to test anything")
      if signal == SIGINT {
        #expect(process.terminationStatus == 1)
        let report = try String(
          contentsOf: output.appendingPathComponent("prediction_report.json"), encoding: .utf8)
        #expect(report.contains("\"cancelled\""))
        let hidden = try FileManager.default.contentsOfDirectory(atPath: output.path).filter { $0.hasPrefix(".") }
        #expect(hidden.isEmpty, "\(hidden)")
      }
      #expect(try run(program, arguments + ["--continue_prediction"]) == 0)
      let all = try results(in: output)
      #expect(all.count == 3 * count)
      for index in 0..<count {
        let same = all["case_\(100 + index).npz"] == all["case_\(100 + index % sources.count).npz"]
        #expect(same, "case \(index)")
      }
    }
  }

  /// A limit on the size of files stands for a full disk.
  @Test func fullDisksEndCasesWithoutLeftovers() throws {
    guard let folder, let model, let program else { return }
    try withTemporaryFolder { output in
      let arguments = [
        "-i", folder.appendingPathComponent("imagesTs").path, "-o", output.path, "-m", model.path, "-f", "0",
        "--disable_tta", "--save_probabilities",
      ]
      #expect(try run(program, arguments, shell: "ulimit -f 24") == 1)
      #expect(try results(in: output).isEmpty)
      let hidden = try FileManager.default.contentsOfDirectory(atPath: output.path).filter { $0.hasPrefix(".") }
      #expect(hidden.isEmpty, "\(hidden)")
      let report = try String(contentsOf: output.appendingPathComponent("prediction_report.json"), encoding: .utf8)
      #expect(report.contains("check permissions and free space"))
      #expect(try run(program, arguments + ["--continue_prediction"]) == 0)
      #expect(try results(in: output).count == 3 * (try caseCount(folder.appendingPathComponent("imagesTs"))))
    }
  }
}

private func withTemporaryFolder(_ body: (URL) throws -> Void) throws {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("nnunet-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  try body(folder)
}
