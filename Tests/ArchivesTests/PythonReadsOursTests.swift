import Archives
import Foundation
import HDF5Files
import Testing

/// Has Python read what we write, where a `python3` with NumPy and h5py is on the path; otherwise says that it did not.
@Suite struct PythonReadsOursTests {
  private func python(_ script: String, in folder: URL) throws -> Int32 {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["python3", "-W", "error::DeprecationWarning", "-c", script]
    process.currentDirectoryURL = folder
    try process.run()
    process.waitUntilExit()
    return process.terminationStatus
  }

  @Test func everything() throws {
    let folder = try TemporaryFolder()
    let probe = """
      import sys
      try:
        import numpy, h5py
      except ImportError:
        sys.exit(7)
      """
    guard (try? python(probe, in: folder.url)) == 0 else {
      print("SKIPPED: no python3 with numpy and h5py on the path, so it did not read our files")
      return
    }
    try NumPyArchiveWriter.create(atomicallyAt: folder.path("a.npz")) { writer in
      try writer.begin("probabilities", shape: [2, 3, 4], kind: .float32)
      try writer.append((0..<24).map { Float($0) })
      try writer.add("y", NumPyArray(shape: [], [5] as [Int64]))
    }
    try Pickle.write(
      .dictionary(
        PickleDictionary([
          "spacing": .list([.float(1.25), .integer(2)]), "bbox": .list([.list([.integer(0), .integer(70000)])]),
          "shape": .tuple([.integer(3), .integer(-4), .integer(1 << 40), .integer(5)]),
          "array": .array(try NumPyArray(shape: [2, 2], [1, 2, 3, 4] as [Int16])),
          "scalar": .numPyScalar(Float(0.5)), "big": .bigInteger("-1180591620717411303424"), "none": .none,
          "yes": .bool(true), "set": .set([.integer(1)]), "bytes": .bytes([1, 2]), "text": .string("é"),
        ])), atomicallyAt: folder.path("a.pkl"))
    try ZipWriter.create(atomicallyAt: folder.path("a.zip")) { writer in
      try writer.add("one", Array("hello".utf8))
      try writer.add("two", Array("there".utf8), method: .stored)
    }
    let gzip = try GzipWriter(path: folder.path("a.gz"))
    try gzip.write(Array("hello".utf8))
    try gzip.finish()
    try HDF5File.create(atomicallyAt: folder.path("a.h5")) { file in
      let group = try file.root.createGroup("b")
      try group.write("x", (0..<24).map { Float($0) }, shape: [2, 3, 4], compression: 4, checksum: true)
      try group.write("z", [1, 2] as [Int16], shape: [2])
      try file.root.setAttribute("properties", #"{"é": 1}"#)
      try file.root.setAttribute("best_ema", 0.25)
    }
    let script = """
      import numpy as np, pickle, zipfile, gzip, h5py
      z = np.load('a.npz')
      assert z['probabilities'].dtype == np.float32
      assert np.array_equal(z['probabilities'], np.arange(24, dtype=np.float32).reshape(2, 3, 4))
      assert z['y'] == 5 and z['y'].shape == ()
      p = pickle.load(open('a.pkl', 'rb'))
      assert p['spacing'] == [1.25, 2] and p['bbox'] == [[0, 70000]] and p['shape'] == (3, -4, 2**40, 5)
      assert p['array'].dtype == np.int16 and np.array_equal(p['array'], [[1, 2], [3, 4]])
      assert isinstance(p['scalar'], np.float32) and p['scalar'] == 0.5
      assert p['big'] == -2**70 and p['none'] is None and p['yes'] is True and p['set'] == {1}
      assert p['bytes'] == bytes([1, 2]) and p['text'] == chr(233)
      a = zipfile.ZipFile('a.zip')
      assert a.testzip() is None and a.read('one') == b'hello' and a.read('two') == b'there'
      assert gzip.open('a.gz').read() == b'hello'
      h = h5py.File('a.h5')
      assert h['b/x'].dtype == np.float32 and np.array_equal(h['b/x'], z['probabilities'])
      assert h['b/x'].compression == 'gzip' and h['b/x'].shuffle and h['b/x'].fletcher32
      assert h['b/z'].dtype == np.int16 and list(h['b/z']) == [1, 2]
      assert bytes(h.attrs['properties']).decode() == '{"%s": 1}' % chr(233)
      assert h.attrs['best_ema'] == 0.25
      """
    #expect(try python(script, in: folder.url) == 0)
  }
}
