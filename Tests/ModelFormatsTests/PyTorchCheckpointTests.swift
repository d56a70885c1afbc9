import Archives
import Foundation
import HDF5Files
import ModelFormats
import TensorCore
import TensorTestSupport
import Testing

@Suite struct PyTorchCheckpointTests {
  private func open(_ bytes: [UInt8]) throws -> PyTorchCheckpoint {
    try PyTorchCheckpoint(PyTorchFile(MemoryBytes(bytes, name: "checkpoint.pth")))
  }

  @Test(arguments: [PyTorchFixtures.zip, PyTorchFixtures.legacy])
  func everyKindOfTensor(bytes: [UInt8]) throws {
    let checkpoint = try open(bytes)
    let expected: KeyValuePairs<String, ([Int], [Float])> = [
      "a.weight": ([3, 4], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
      "a.alias": ([3, 4], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
      "t": ([4, 3], [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]),
      "part": ([4], [5, 6, 7, 8]), "every": ([4], [1, 4, 7, 10]),
      "expanded": ([2, 3], [2.5, 2.5, 2.5, 2.5, 2.5, 2.5]),
      "half": ([3], [1, 2, 100]), "bf": ([3], [1, 2, 100]), "dbl": ([3], [1, 2, 100]), "i64": ([3], [1, 2, 100]),
      "i32": ([3], [1, 2, 100]), "i16": ([3], [1, 2, 100]), "i8": ([3], [1, 2, 100]), "u8": ([3], [1, 2, 100]),
      "flag": ([2], [1, 0]), "scalar": ([], [7]), "empty": ([0, 3], []), "parameter": ([2], [1.5, -2]),
    ]
    #expect(
      try checkpoint.networkWeights()
        == expected.map { NamedArray(name: $0.key, shape: $0.value.0, elements: $0.value.1) })
    #expect(try checkpoint.networkWeight("every").elements == [1, 4, 7, 10])
    #expect(checkpoint.trainerName == "nnUNetTrainer")
    #expect(checkpoint.currentEpoch == 3)
    #expect(checkpoint.bestEMA == 0.75)
    #expect(checkpoint.inferenceAllowedMirroringAxes == nil)
    #expect(checkpoint.logged("train_losses") == [0.5, 0.25])
    #expect(checkpoint.initializationArguments["fold"]?.integer == 0)
    #expect(checkpoint.parameterGroups.first?["lr"]?.number == 0.01)
    let momentum = try #require(checkpoint.momentumBuffers[0])
    #expect(try checkpoint.file.elements(of: momentum) == [0, 1])
    #expect(checkpoint.momentumBuffers.count == 1)
  }

  @Test func refusals() throws {
    let module = #expect(throws: ArchiveError.self) { _ = try open(PyTorchFixtures.module) }
    #expect(module?.kind == .refused)
    #expect(module?.found == "'torch.nn.modules.linear.Linear'")
    #expect(throws: ArchiveError.self) { _ = try open(Array("no checkpoint at all".utf8)) }
    #expect(throws: ArchiveError.self) { _ = try open([]) }
    let error = #expect(throws: ArchiveError.self) { _ = try open(PyTorchFixtures.zip).networkWeight("absent") }
    #expect(error?.kind == .missing)
    #expect(
      PyTorchCheckpoint.plainName("module.encoder._orig_mod.stages.0.module.weight") == "encoder.stages.0.module.weight"
    )
  }

  @Test func goldenNetworks() throws {
    guard let folder = Golden.folder("networks") else { return }
    var compared = 0
    for name in try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() {
      let file = folder.appendingPathComponent("\(name)/checkpoint_final.pth")
      guard FileManager.default.fileExists(atPath: file.path) else { continue }
      let checkpoint = try PyTorchCheckpoint(path: file.path)
      let golden = try HDF5File.open(folder.appendingPathComponent("\(name)/weights.h5").path).root.group("state_dict")
      let weights = try checkpoint.networkWeights()
      #expect(Set(weights.map(\.name)) == Set(try golden.names), "\(name)")
      for weight in weights {
        let expected = try golden.read(weight.name, as: Float.self)
        expectClose(
          weight.elements, shape: weight.shape, expected.elements, shape: expected.shape, absolute: 0,
          relativeToMaximum: 0, "\(name): \(weight.name)")
        compared += 1
      }
      #expect(checkpoint.trainerName == "nnUNetTrainer")
      #expect(checkpoint.initializationArguments["plans"]?["configurations"] != nil)
      let axes = try #require(checkpoint.inferenceAllowedMirroringAxes)
      #expect(axes == Array(0..<axes.count))
    }
    #expect(compared > 1000)
  }

  @Test func goldenTrainingState() throws {
    guard let folder = Golden.folder("networks/plain2d") else { return }
    let checkpoint = try PyTorchCheckpoint(path: folder.appendingPathComponent("checkpoint_final.pth").path)
    #expect(checkpoint.currentEpoch == 2)
    #expect(try Float(#require(checkpoint.bestEMA)) == 0.13672233)
    #expect(checkpoint.logged("lrs") == [0.01, 0.009990999549834914])
    #expect(checkpoint.momentumBuffers.count == 66)
    #expect(checkpoint.momentumBuffers[62] == nil)
    let group = try #require(checkpoint.parameterGroups.first)
    #expect(group["lr"]?.number == 0.009990999549834914)
    #expect(group["nesterov"]?.bool == true)
    #expect(group["params"]?.integers?.count == 68)
    let momentum = try #require(checkpoint.momentumBuffers[0])
    #expect(try checkpoint.file.elements(of: momentum).contains { $0 != 0 })
  }

  @Test func goldenModelFolders() throws {
    guard let folder = Golden.folder("modelfolder") else { return }
    var count = 0
    let files = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)
    while let file = files?.nextObject() as? URL {
      guard file.pathExtension == "pth" else { continue }
      let checkpoint = try PyTorchCheckpoint(path: file.path)
      let weights = try checkpoint.networkWeights()
      #expect(weights.count == checkpoint.weights.count)
      #expect(weights.allSatisfy { $0.elements.allSatisfy(\.isFinite) })
      #expect(weights.contains { $0.name == "decoder.seg_layers.0.weight" })
      count += 1
    }
    #expect(count == 8)
  }

  /// Mutated checkpoints are read or refused; none crashes, hangs or allocates without bound.
  @Test func mutations() throws {
    var originals = [PyTorchFixtures.zip, PyTorchFixtures.legacy]
    if let folder = Golden.folder("networks/plain3d_nobias_relu") {
      originals.append([UInt8](try Data(contentsOf: folder.appendingPathComponent("checkpoint_final.pth"))))
    }
    var generator = RandomGenerator(seed: 7)
    var refused = 0
    for original in originals {
      let isSmall = original.count < 20_000
      for _ in 0..<(isSmall ? 1500 : 150) {
        var mutant = original
        // Most of a large file is weights: mutate the pickle at its front and the directory at its end.
        let interesting = isSmall ? mutant.count : 20_000
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
          let distance = Int.random(in: 0..<interesting, using: &generator)
          let position = Bool.random(using: &generator) ? distance : mutant.count - 1 - distance
          switch Int.random(in: 0..<5, using: &generator) {
          case 0: mutant[position] = 0xFF
          case 1: mutant[position] = 0
          case 2: mutant[position] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
          case 3: for index in position..<min(mutant.count, position + 8) { mutant[index] = 0xFF }
          default: mutant[position] = UInt8.random(in: 0...255, using: &generator)
          }
        }
        do { _ = try open(mutant).networkWeights() } catch { refused += 1 }
      }
    }
    #expect(refused > 1000)
  }
}
