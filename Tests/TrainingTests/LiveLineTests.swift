import Foundation
import Testing
import Training

@Suite struct LiveLineTests {
  /// What a line wrote, with `|` for going back to its beginning.
  private func written(_ body: (LiveLine) -> Void) throws -> String {
    let pipe = Pipe()
    body(LiveLine(to: pipe.fileHandleForWriting))
    try pipe.fileHandleForWriting.close()
    let data = try #require(try pipe.fileHandleForReading.readToEnd())
    return String(decoding: data, as: UTF8.self).replacingOccurrences(of: "\r\u{1B}[K", with: "|")
  }

  @Test func longStepsCountTheSeconds() throws {
    let text = try written { line in
      line.show("step 1", at: 10)
      line.tick(at: 10.5)
      line.tick(at: 11)
      line.tick(at: 11.5)
      line.tick(at: 12)
      line.show("step 2", at: 12.2)
      line.tick(at: 12.7)
    }
    #expect(text == "|step 1|step 1  (1 s)|step 1  (2 s)|step 2")
  }

  /// Texts that come fast are drawn ten times a second, and the last one in any case.
  @Test func fastTextsAreNotAllDrawn() throws {
    let text = try written { line in
      for step in 0..<5 { line.show("step \(step)", at: 10 + Double(step) * 0.04) }
      line.tick(at: 11.5)
    }
    #expect(text == "|step 0|step 3|step 4  (1 s)")
  }

  @Test func wholeLinesGoAbove() throws {
    let text = try written { line in
      line.show("step 1", at: 10)
      line.makingRoom {}
      line.tick(at: 10.2)
      line.finish()
      line.tick(at: 20)
      line.show("step 2", at: 21)
      line.clear()
      line.tick(at: 30)
    }
    #expect(text == "|step 1||step 1|step 1\n|step 2|")
  }
}
