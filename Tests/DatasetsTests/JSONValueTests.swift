import Datasets
import Foundation
import Testing

@Suite struct JSONValueTests {
  /// Python: `json.dumps(x)` of the same numbers.
  @Test(arguments: [
    (1.0, "1.0"), (-0.0, "-0.0"), (0.0, "0.0"), (1e-05, "1e-05"), (0.0001, "0.0001"), (1e16, "1e+16"),
    (9999999999999998.0, "9999999999999998.0"), (1e22, "1e+22"), (123456789012345680.0, "1.2345678901234568e+17"),
    (Double.leastNonzeroMagnitude, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"), (0.1, "0.1"),
    (100.0, "100.0"),
    (0.699999988079071, "0.699999988079071"), (1.5e-7, "1.5e-07"), (-2.5, "-2.5"), (1e15, "1000000000000000.0"),
    (1e100, "1e+100"), (0.00012345, "0.00012345"),
  ])
  func floatingPointNumbersReadAsInPython(number: Double, text: String) throws {
    #expect(JSONValue.number(number).text() == text)
    let back = try JSONValue(parsing: text)
    #expect(back == .number(number))
  }

  @Test func nonFiniteNumbers() throws {
    #expect(JSONValue([Double.nan, .infinity, -.infinity]).text(indent: nil) == "[NaN, Infinity, -Infinity]")
    let values = try #require(JSONValue(parsing: "[NaN, Infinity, -Infinity]").array)
    #expect(values[0].double?.isNaN == true)
    #expect(values[1] == .number(.infinity))
    #expect(values[2] == .number(-.infinity))
  }

  @Test func integersAndFloatingPointNumbersStayApart() throws {
    #expect(try JSONValue(parsing: "1") == .integer(1))
    #expect(try JSONValue(parsing: "1.0") == .number(1))
    #expect(try JSONValue(parsing: "1e0") == .number(1))
    #expect(try JSONValue(parsing: "-9223372036854775808") == .integer(.min))
    #expect(try JSONValue(parsing: "9223372036854775808") == .number(0x1p63))
    #expect(try JSONValue(parsing: "2.0").int == 2)
    #expect(try JSONValue(parsing: "2.5").int == nil)
  }

  @Test func textIsThatOfPython() throws {
    let value: JSONValue = [
      "b": [1, 2.0, nil, true, []], "a": ["x": "é\"\\\n\t\u{7f}\u{1}😀/"], "c": [:],
    ]
    #expect(
      value.text() == """
        {
            "b": [
                1,
                2.0,
                null,
                true,
                []
            ],
            "a": {
                "x": "\\u00e9\\"\\\\\\n\\t\\u007f\\u0001\\ud83d\\ude00/"
            },
            "c": {}
        }
        """)
    #expect(
      value.text(indent: nil, sortKeys: true, ensureASCII: false)
        == "{\"a\": {\"x\": \"é\\\"\\\\\\n\\t\u{7f}\\u0001😀/\"}, \"b\": [1, 2.0, null, true, []], \"c\": {}}")
    #expect(try JSONValue(parsing: value.text()) == value)
    #expect(try JSONValue(parsing: value.text(indent: nil, ensureASCII: false)) == value)
  }

  @Test func theLastOfEqualKeysWins() throws {
    #expect(try JSONValue(parsing: "{\"a\": 1, \"b\": 2, \"a\": 3}").text(indent: nil) == "{\"a\": 3, \"b\": 2}")
  }

  @Test(arguments: [
    ("", 1, 1), ("{", 1, 2), ("[1, 2", 1, 6), ("{\"a\" 1}", 1, 6), ("[1,]", 1, 4), ("{\"a\": 1,}", 1, 9), ("01", 1, 1),
    ("1 2", 1, 3), ("nul", 1, 1), ("\"abc", 1, 5), ("\"\\x\"", 1, 3), ("\"\\ud800\"", 1, 8), ("[\n1,\n  ?]", 3, 3),
    ("-", 1, 2), ("1.", 1, 3), ("1e", 1, 3), ("\"a\nb\"", 1, 3), ("'a'", 1, 1), ("\"\\u12g4\"", 1, 6), ("{1: 2}", 1, 2),
  ])
  func malformedTextIsReportedWithItsPlace(text: String, line: Int, column: Int) {
    let error = #expect(throws: JSONSyntaxError.self) { try JSONValue(parsing: text, file: "plans.json") }
    #expect(error?.line == line)
    #expect(error?.column == column)
    #expect(error?.description.hasPrefix("plans.json, line \(line), column \(column): ") == true)
  }

  @Test func depthIsBounded() throws {
    let deep = String(repeating: "[", count: 100_000)
    #expect(throws: JSONSyntaxError.self) { try JSONValue(parsing: deep) }
    let allowed = String(repeating: "[", count: 200) + String(repeating: "]", count: 200)
    #expect(try JSONValue(parsing: allowed).array?.count == 1)
  }

  @Test func invalidUTF8IsRefused() {
    #expect(throws: JSONSyntaxError.self) { try JSONValue(parsing: [0x22, 0xFF, 0x22]) }
  }

  @Test func missingFileNamesItself() {
    let file = URL(fileURLWithPath: "/nonexistent/dataset.json")
    let error = #expect(throws: DatasetError.self) { try JSONValue(contentsOf: file) }
    #expect(error?.kind == .notFound)
    #expect(error?.description.contains("/nonexistent/dataset.json") == true)
  }

  @Test func wrongTypesNameFileAndKey() throws {
    let field = JSONField(try JSONValue(parsing: "{\"a\": {\"b\": [1, \"x\"]}}"), file: "f.json")
    let error = #expect(throws: DatasetError.self) { try field.field("a").field("b").ints() }
    #expect(error?.description.contains("f.json: 'a.b[1]' should be an integer, but is the string \"x\"") == true)
    let missing = #expect(throws: DatasetError.self) { try field.field("a").field("c") }
    #expect(missing?.kind == .missingKey)
  }

  /// Damaged files give a value or a typed error, and nothing worse.
  @Test func mutatedTextNeverCrashes() throws {
    let text = JSONValue.object([
      "a": [1, -2.5e-7, nil, true, "x\n\u{e9}\u{1F600}"], "b": ["c": [:], "d": [[]]], "n": .number(.nan),
    ]).text()
    let original = [UInt8](text.utf8)
    var state = NumPyRandomState(seed: 5)
    var refused = 0
    for _ in 0..<20_000 {
      var bytes = original
      for _ in 0..<state.integer(in: 1..<5) {
        let index = state.integer(in: 0..<bytes.count)
        switch state.integer(in: 0..<3) {
        case 0: bytes[index] = UInt8(state.integer(in: 0..<256))
        case 1: bytes.remove(at: index)
        default: bytes.insert(bytes[state.integer(in: 0..<bytes.count)], at: index)
        }
      }
      do {
        let value = try JSONValue(parsing: bytes)
        // What was read is written and read again to the same text.
        #expect(try JSONValue(parsing: value.text()).text() == value.text())
      } catch let error as JSONSyntaxError {
        #expect(error.line >= 1 && error.column >= 1)
        refused += 1
      }
    }
    #expect(refused > 1000)
  }
}
