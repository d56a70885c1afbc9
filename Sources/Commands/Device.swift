import ArgumentParser

/// Where to compute. This build has the CPU.
enum Device: String, ExpressibleByArgument, CaseIterable {
  case cpu, cuda, mps

  /// - Throws: `ValidationError` for a device this build has not.
  func requireAvailable() throws {
    guard self == .cpu else {
      throw ValidationError(
        "-device \(rawValue): this build computes on the CPU only; the devices there are: cpu. Leave the option out "
          + "or give -device cpu.")
    }
  }

  static let help: ArgumentHelp = "The device to compute on. This build has: cpu."
}
