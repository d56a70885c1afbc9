import ArgumentParser
import Foundation

/// The program behind every executable: `nnunet` with subcommands, and each `nnUNetv2_*` name by itself.
public enum CommandLineTool {
  /// Runs the command that the program was called as, and ends the process.
  ///
  /// - Parameter arguments: as in `CommandLine.arguments`, the program's path first.
  public static func main(_ arguments: [String] = CommandLine.arguments) -> Never {
    // A file that grows beyond the limit on file sizes is an error of that file, not the end of the process.
    signal(SIGXFSZ, SIG_IGN)
    let called = arguments.first.map { URL(fileURLWithPath: $0).lastPathComponent } ?? ""
    let rest = Array(arguments.dropFirst())
    if let command = RootCommand.nnUNetCommands.first(where: { $0.configuration.commandName == called }) {
      command.main(rest)
    } else {
      RootCommand.main(rest)
    }
    // `main` returns when the command succeeded.
    exit(0)
  }

  /// The names of nnU-Net's commands that this program has.
  package static var commandNames: [String] { RootCommand.nnUNetCommands.compactMap { $0.configuration.commandName } }

  /// What `NAME --help` prints; `nil` for a command there is not.
  package static func help(of name: String) -> String? {
    guard let command = RootCommand.nnUNetCommands.first(where: { $0.configuration.commandName == name }) else {
      return nil
    }
    return RootCommand.helpMessage(for: command, columns: 100)
  }

  /// The exit code and message with which a command line would be refused; `nil` if it is accepted. Runs nothing.
  package static func refusal(of arguments: [String]) -> (code: Int32, message: String)? {
    let parsed = Result { try RootCommand.parseAsRoot(arguments) }
    guard case .failure(let error) = parsed else { return nil }
    return (RootCommand.exitCode(for: error).rawValue, RootCommand.message(for: error))
  }
}

struct RootCommand: ParsableCommand {
  /// The commands that carry nnU-Net's names; `make install` makes a link for each.
  static let nnUNetCommands: [any ParsableCommand.Type] = [
    PlanAndPreprocessCommand.self, ExtractFingerprintCommand.self, PlanExperimentCommand.self, PreprocessCommand.self,
    TrainCommand.self, PredictCommand.self, PredictFromModelFolderCommand.self, EvaluateFolderCommand.self,
    EvaluateSimpleCommand.self, EnsembleCommand.self, DeterminePostprocessingCommand.self,
    ApplyPostprocessingCommand.self, AccumulateCrossValidationCommand.self, FindBestConfigurationCommand.self,
    ExportModelCommand.self, InstallModelCommand.self, MovePlansCommand.self, ConvertMSDDatasetCommand.self,
    ConvertOldDatasetCommand.self, PlotOverlayCommand.self,
  ]

  static let configuration = CommandConfiguration(
    commandName: "nnunet",
    abstract: "Medical image segmentation with nnU-Net's commands, folders and models, without Python.",
    discussion: """
      Each nnUNetv2_* command can be called by its own name too.
      Folders come from the environment: nnUNet_raw, nnUNet_preprocessed, nnUNet_results.
      """,
    version: "0.1.0",
    subcommands: nnUNetCommands + [MakeSyntheticDatasetCommand.self, PlotPredictionsCommand.self])

  @Flag(help: "Print the names of nnU-Net's commands, one a line.")
  var listCommands = false

  func run() throws {
    guard listCommands else { throw CleanExit.helpRequest(self) }
    for command in Self.nnUNetCommands { print(command.configuration.commandName ?? "") }
  }
}
