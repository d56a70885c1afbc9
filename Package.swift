// swift-tools-version: 6.1
import PackageDescription

// Targets are listed from the bottom of the house to its top; imports go only upward in this list.
// `Tests/ArchitectureTests` holds the graph to docs/architecture.md.

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let orderedCollections = Target.Dependency.product(name: "OrderedCollections", package: "swift-collections")

let systemLibraries: [Target] = [
  .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
  .systemLibrary(name: "CHDF5", pkgConfig: "hdf5", providers: [.apt(["libhdf5-dev"])]),
  .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
  // Debian's libnifti has no pkg-config file, so this one is an ordinary target that only links.
  .target(
    name: "CNIfTI", linkerSettings: [.linkedLibrary("niftiio"), .linkedLibrary("znz")]),
  .target(name: "CPNG", linkerSettings: [.linkedLibrary("png")]),
  .target(name: "CTIFF", linkerSettings: [.linkedLibrary("tiff")]),
  .systemLibrary(name: "CCairo", pkgConfig: "cairo", providers: [.apt(["libcairo2-dev"])]),
]

let compute: [Target] = [
  .target(name: "CKernels"),
  .target(name: "TensorCore", dependencies: ["CKernels", "COpenBLAS"]),
  .target(name: "Autograd", dependencies: ["TensorCore"]),
  .target(name: "GraphCompiler", dependencies: ["TensorCore", logging]),
  .target(name: "NeuralNetworks", dependencies: ["Autograd", "GraphCompiler", "TensorCore", "CKernels", logging]),
]

let bytes: [Target] = [
  .target(name: "Archives", dependencies: ["CZlib"]),
  .target(name: "HDF5Files", dependencies: ["CHDF5"]),
  .target(
    name: "ModelFormats",
    dependencies: ["Archives", "HDF5Files", "NeuralNetworks", "TensorCore"]),
]

let imaging: [Target] = [
  .target(name: "Volumes", dependencies: ["TensorCore", "CKernels", "CNIfTI", "CPNG", "CTIFF", "CZlib"]),
  .target(name: "Plotting", dependencies: ["CCairo"]),
  .target(name: "Datasets", dependencies: [orderedCollections]),
  .target(
    name: "Preprocessing",
    dependencies: ["Volumes", "Datasets", "HDF5Files", "TensorCore"]),
  .target(name: "Planning", dependencies: ["Preprocessing", "Volumes", "Datasets", "TensorCore"]),
  .target(name: "DatasetConversion", dependencies: ["Volumes", "Datasets", "TensorCore"]),
  .target(name: "Augmentation", dependencies: ["Volumes", "TensorCore", "CKernels"]),
  .target(name: "SyntheticData", dependencies: ["Volumes", "Datasets", "TensorCore"]),
]

let workflows: [Target] = [
  .target(
    name: "Inference",
    dependencies: [
      "Preprocessing", "ModelFormats", "NeuralNetworks", "GraphCompiler", "Volumes", "Datasets", "Archives",
      "TensorCore", logging,
    ]),
  .target(
    name: "Evaluation",
    dependencies: ["Preprocessing", "Volumes", "Datasets", "TensorCore", "Archives"]),
  .target(
    name: "Training",
    dependencies: [
      "Augmentation", "Inference", "Evaluation", "Preprocessing", "ModelFormats", "NeuralNetworks",
      "GraphCompiler", "Autograd", "Datasets", "Volumes", "TensorCore", "Plotting", logging,
    ]),
  .target(
    name: "Commands",
    dependencies: [
      "Training", "Inference", "Evaluation", "Planning", "DatasetConversion", "SyntheticData", "Preprocessing",
      "Plotting", "Datasets", "Volumes", "TensorCore", argumentParser, logging,
    ]),
]

let executables: [Target] =
  ["nnUNetv2_plan_and_preprocess", "nnUNetv2_train", "nnUNetv2_predict", "nnunet"].map {
    .executableTarget(name: $0, dependencies: ["Commands"])
  } + [
    .executableTarget(
      name: "nnunet-bench",
      dependencies: [
        "NeuralNetworks", "GraphCompiler", "Autograd", "TensorCore", "Preprocessing", "Augmentation", "Volumes",
        argumentParser,
      ],
      path: "Benchmarks/nnunet-bench")
  ]

let support: [Target] = [
  .target(
    name: "TensorTestSupport",
    dependencies: ["TensorCore", "Autograd", "HDF5Files"],
    path: "Tests/TensorTestSupport"),
  // Shared by the tests and by the fuzzer in `Fuzz/`.
  .target(
    name: "FuzzTargets",
    dependencies: [
      "Archives", "HDF5Files", "ModelFormats", "Volumes", "Datasets", "Preprocessing", "Planning", "Evaluation",
      "NeuralNetworks", "Inference",
    ],
    path: "Tests/FuzzTargets"),
]

func tests(_ target: String, _ more: [Target.Dependency] = [], exclude: [String] = []) -> Target {
  .testTarget(
    name: target + "Tests",
    dependencies: [.init(stringLiteral: target), "TensorTestSupport"] + more, exclude: exclude)
}

let package = Package(
  name: "nnunet-swift",
  products: [
    .library(name: "Inference", targets: ["Inference"]),
    .library(name: "Training", targets: ["Training"]),
    .library(name: "FuzzTargets", targets: ["FuzzTargets"]),
    .executable(name: "nnUNetv2_plan_and_preprocess", targets: ["nnUNetv2_plan_and_preprocess"]),
    .executable(name: "nnUNetv2_train", targets: ["nnUNetv2_train"]),
    .executable(name: "nnUNetv2_predict", targets: ["nnUNetv2_predict"]),
    .executable(name: "nnunet", targets: ["nnunet"]),
    .executable(name: "nnunet-bench", targets: ["nnunet-bench"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
  ],
  targets: systemLibraries + compute + bytes + imaging + workflows + executables + support + [
    tests("TensorCore"),
    tests("Autograd"),
    tests("GraphCompiler", ["Autograd", "TensorCore", logging]),
    tests("NeuralNetworks", ["Datasets", "GraphCompiler", "HDF5Files", logging], exclude: ["PrintedGraphs"]),
    tests("Archives", ["HDF5Files"]),
    tests("HDF5Files"),
    tests("ModelFormats", ["Archives", "HDF5Files"]),
    tests("Volumes", ["HDF5Files"], exclude: ["Fixtures"]),
    tests("Plotting"),
    tests("SyntheticData", ["Datasets", "Volumes"]),
    tests("Datasets"),
    tests("Preprocessing", ["HDF5Files"]),
    tests("Planning"),
    tests("DatasetConversion", ["Archives", "Datasets", "Volumes", "TensorCore"]),
    tests("Augmentation", ["HDF5Files", "CKernels"]),
    tests("Inference", ["HDF5Files"]),
    tests("Evaluation", ["HDF5Files"]),
    tests("Training", ["HDF5Files"]),
    tests("Commands"),
    .testTarget(
      name: "FuzzTests", dependencies: ["FuzzTargets", "TensorTestSupport"], exclude: ["Corpus"]),
    .testTarget(name: "ArchitectureTests"),
  ],
  swiftLanguageModes: [.v6]
)
