import Foundation
import Preprocessing
import TensorCore
import Volumes

/// Keeps all logits of an image in a temporary file, so that they can be asked for channel by channel.
///
/// The file has no name: it vanishes with the spool, also when the process is killed.
final class LogitsSpool: LogitsConsumer, Sendable {
  let channelCount: Int
  /// `[Z, Y, X]`.
  let shape: [Int]
  private let folder: String
  private let descriptor: Int32
  private let pool: WorkerPool

  private var planeCount: Int { shape[1] * shape[2] }
  private var channelByteCount: Int { 4 * shape.reduce(1, *) }

  /// The bytes that taking slabs needs beside the file.
  static func bufferByteCount(channelCount: Int, plane: Int) -> Int { 4 * channelCount * plane }

  /// - Parameter folder: where the file lies; `4 * channelCount * Z * Y * X` bytes must be free there.
  /// - Throws: ``InferenceError/cannotWrite(path:problem:)``.
  init(channelCount: Int, shape: [Int], folder: URL, pool: WorkerPool) throws {
    self.channelCount = channelCount
    self.shape = shape
    self.folder = folder.path
    self.pool = pool
    var name = Array((folder.path + "/.logits.XXXXXX").utf8CString)
    descriptor = name.withUnsafeMutableBufferPointer { name in name.baseAddress.map { mkstemp($0) } ?? -1 }
    guard descriptor >= 0 else { throw Self.failure(folder.path, "a temporary file can't be made") }
    unlink(name)
    let needed = channelByteCount * channelCount
    var system = statvfs()
    if fstatvfs(descriptor, &system) == 0 {
      let free = Int(clamping: UInt64(system.f_bavail)) * Int(clamping: UInt64(system.f_frsize))
      guard needed <= free else {
        throw InferenceError.cannotWrite(
          path: folder.path,
          problem: "logits on their way to probabilities need \(AvailableMemory.text(needed)) for a while, but only "
            + "\(AvailableMemory.text(free)) are free")
      }
    }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  func consume(_ slab: LogitsSlab) throws {
    let (height, width, channels, plane) = (slab.height, slab.width, slab.channels, planeCount)
    var planes = [Float](repeating: 0, count: channels * plane)
    for z in slab.depthRange {
      planes.withUnsafeMutableBufferPointer { planes in
        guard let target = planes.baseAddress else { return }
        pool.run(count: height, grain: max(1, 16_384 / (width * channels))) { rows in
          for y in rows {
            let source = slab.row(z, y)
            for c in 0..<channels {
              let line = target + c * plane + y * width
              for x in 0..<width { line[x] = source[x * channels + c] }
            }
          }
        }
      }
      try planes.withUnsafeBytes { bytes in
        for c in 0..<channels {
          let part = UnsafeRawBufferPointer(rebasing: bytes[4 * c * plane..<4 * (c + 1) * plane])
          try write(part, at: c * channelByteCount + 4 * z * plane)
        }
      }
    }
  }

  /// The logits `[1, Z, Y, X]` of one channel.
  func channel(_ index: Int) throws -> VoxelGrid<Float> {
    try VoxelGrid(shape: [1] + shape) { buffer in
      let bytes = UnsafeMutableRawBufferPointer(buffer)
      var done = 0
      while done < bytes.count {
        let target = bytes.baseAddress.map { $0 + done }
        let count = pread(
          descriptor, target, min(bytes.count - done, 1 << 30), off_t(index * channelByteCount + done))
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { throw Self.failure(folder, "a temporary file can't be read") }
        done += count
      }
    }
  }

  private func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
    var done = 0
    while done < bytes.count {
      let source = bytes.baseAddress.map { $0 + done }
      let count = pwrite(descriptor, source, min(bytes.count - done, 1 << 30), off_t(offset + done))
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw Self.failure(folder, "logits can't be written to a temporary file") }
      done += count
    }
  }

  private static func failure(_ path: String, _ problem: String) -> InferenceError {
    .cannotWrite(path: path, problem: "\(problem) (\(String(cString: strerror(errno))))")
  }
}
