import Foundation
import FuzzTargets

/// What this process fuzzes: the target that the environment variable `READER` names, and a folder for its files.
private let setting: (target: FuzzTarget, folder: URL) = {
  let name = ProcessInfo.processInfo.environment["READER"] ?? ""
  guard let target = FuzzTarget(rawValue: name) else {
    fatalError("READER is '\(name)', expected one of \(FuzzTarget.allCases.map(\.rawValue).joined(separator: ", "))")
  }
  // Memory, where the system has a folder of it, is kinder than a disk to thousands of files a second.
  let memory = URL(fileURLWithPath: "/dev/shm")
  let parent = FileManager.default.isWritableFile(atPath: memory.path) ? memory : FileManager.default.temporaryDirectory
  let folder = parent.appendingPathComponent("nnunet-fuzz-\(name)-\(getpid())")
  do {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  } catch {
    fatalError("\(folder.path): \(error)")
  }
  atexit { try? FileManager.default.removeItem(at: setting.folder) }
  return (target, folder)
}()

/// libFuzzer calls this with each input; a trap, a report of the address sanitizer, a hang, too large an allocation or
/// an error that isn't one of ours is a finding.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  do {
    _ = try setting.target.read(bytes, folder: setting.folder)
  } catch {
    fatalError("a finding: \(error)")
  }
  return 0
}
