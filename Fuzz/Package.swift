// swift-tools-version: 6.1
import PackageDescription

// A package of its own, because everything in it, and everything it uses, is built with the fuzzer's instrumentation.
// `make fuzz READER=name` in the folder above builds and runs it.
let package = Package(
  name: "nnunet-fuzz",
  dependencies: [.package(name: "nnunet-swift", path: "..")],
  targets: [
    .executableTarget(
      name: "nnunet-fuzz", dependencies: [.product(name: "FuzzTargets", package: "nnunet-swift")])
  ],
  swiftLanguageModes: [.v6]
)
