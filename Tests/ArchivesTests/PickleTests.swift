import Archives
import Foundation
import TensorTestSupport
import Testing

@Suite struct PickleTests {
  private func items(_ values: PickleValue?) -> [PickleValue] { values?.elements ?? [] }

  @Test(arguments: [
    PythonFixtures.pickle0, PythonFixtures.pickle1, PythonFixtures.pickle2, PythonFixtures.pickle3,
    PythonFixtures.pickle4, PythonFixtures.pickle5,
  ])
  func everyProtocol(bytes: [UInt8]) throws {
    let value = try Pickle.read(bytes, allowing: .plain)
    #expect(value.dictionary?.keys.compactMap(\.string) == ["a", "f", "s", "n", "t", "b", "set", "d", "e"])
    #expect(
      value["a"]
        == .tuple([
          .integer(1), .integer(-2), .integer(300), .integer(70000), .integer(1 << 40),
          .bigInteger("-1180591620717411303424"), .bigInteger("18446744073709551616"),
        ]))
    #expect(value["f"]?.numbers == [0.1, .infinity, 0])
    #expect(items(value["f"])[2].number?.sign == .minus)
    #expect(value["s"] == .string("straße €"))
    #expect(value["n"] == PickleValue.none)
    #expect(value["t"] == .bool(true))
    #expect(value["b"] == .bytes([0, 255]))
    #expect(value["set"] == .set([.integer(3)]))
    #expect(value["d"]?.dictionary?.keys == [.string("z"), .string("a")])
    #expect(value["e"] == .tuple([.tuple([]), .dictionary(PickleDictionary()), .list([])]))
  }

  @Test(arguments: [PythonFixtures.numPyPickle2, PythonFixtures.numPyPickle4, PythonFixtures.numPyPickle5])
  func numPyValues(bytes: [UInt8]) throws {
    let value = try Pickle.read(bytes)
    #expect(value["i"]?.integer == -5)
    #expect(value["f"]?.number == 0.25)
    #expect(value["h"]?.number == 1.5)
    #expect(value["b"]?.bool == true)
    let array = try #require(value["a"]?.numPyArray)
    #expect(array.shape == [2, 3])
    #expect(array.kind == .int16)
    #expect(try array.elements(as: Int.self) == [0, 1, 2, 3, 4, 5])
    #expect(value["g"]?.numbers == [1.5, 2.5])
    #expect(try value["F"]?.numPyArray?.elements(as: UInt8.self) == [0, 1, 2, 3])
  }

  @Test func refusals() throws {
    func refusal(_ bytes: [UInt8], _ classes: PickleClasses = .numPy) -> ArchiveError? {
      #expect(throws: ArchiveError.self) { _ = try Pickle.read(bytes, allowing: classes) }
    }
    let call = refusal(PythonFixtures.pickleOfSystemCall)
    #expect(call?.kind == .refused)
    #expect(call?.found == "'posix.system'")
    #expect(refusal(PythonFixtures.numPyPickle4, .plain)?.found == "'numpy._core.multiarray.scalar'")
    #expect(refusal(PythonFixtures.pickleOfCycle)?.found == "a value that contains itself")
    #expect(refusal(PythonFixtures.pickleOfSharedTuples)?.kind == .tooLarge)
    #expect(refusal(Array("(cposix\nsystem\no.".utf8))?.kind == .refused)
    #expect(refusal(Array("(iposix\nsystem\n.".utf8))?.found == "INST (0x69) at position 1")
    #expect(refusal([0x80, 9, UInt8(ascii: ".")])?.found == "protocol 9")
    #expect(refusal([])?.kind == .damaged)
    let deep = [UInt8](repeating: UInt8(ascii: "]"), count: 1 << 20)
    let closing = [UInt8](repeating: UInt8(ascii: "a"), count: (1 << 20) - 1)
    #expect(refusal(deep + closing + [UInt8(ascii: ".")])?.kind == .refused)
    // A length field of almost 2^64 bytes.
    #expect(refusal([0x8D] + [UInt8](repeating: 0xFF, count: 8) + [0x2E])?.kind == .damaged)
  }

  @Test func writtenValuesReadBack() throws {
    var dictionary = PickleDictionary([
      "spacing": .list([.float(1.1), .integer(2)]), "shape": .tuple([.integer(3), .integer(400), .integer(-70000)]),
      "text": .string(String(repeating: "é", count: 300)), "bytes": .bytes([UInt8](repeating: 7, count: 300)),
      "none": .none, "flags": .tuple([.bool(true), .bool(false)]), "big": .integer(.min),
      "bigger": .bigInteger("-1180591620717411303424"), "set": .set([.string("a")]), "empty": .tuple([]),
      "nested": .dictionary(PickleDictionary(["x": .list([]), "y": .dictionary(PickleDictionary())])),
      "array": .array(try NumPyArray(shape: [2, 2], [1.5, 2, 3, 4] as [Float])), "scalar": .numPyScalar(Int64(-9)),
    ])
    dictionary["later"] = .integer(1)
    let value = PickleValue.dictionary(dictionary)
    let back = try Pickle.read(Pickle.write(value))
    #expect(back == value)
    #expect(try back["array"]?.numPyArray?.elements(as: Double.self) == [1.5, 2, 3, 4])
    #expect(back["scalar"]?.integer == -9)
  }

  @Test func goldenProperties() throws {
    guard let folder = Golden.folder("evaluation/ensemble_labels/member_0") else { return }
    let value = try Pickle.read(path: folder.appendingPathComponent("case_0.pkl").path)
    #expect(value["sitk_stuff"]?["spacing"]?.numbers == [1.1, 1.2, 1.3])
    #expect(value["sitk_stuff"]?["direction"]?.numbers?.count == 9)
    #expect(value["spacing"]?.numbers == [1.3, 1.2, 1.1])
  }

  @Test func goldenPostprocessing() throws {
    guard let folder = Golden.folder("evaluation/postprocessing_class/expected") else { return }
    // This one names nnU-Net's functions, which are no plain values.
    let error = #expect(throws: ArchiveError.self) {
      _ = try Pickle.read(path: folder.appendingPathComponent("postprocessing.pkl").path)
    }
    #expect(error?.kind == .refused)
    #expect(error?.found.contains("remove_all_but_largest_component") == true)
  }
}
