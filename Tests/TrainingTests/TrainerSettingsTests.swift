import Testing
import Training

@Suite struct TrainerSettingsTests {
  @Test(arguments: [
    ("nnUNetTrainer", 1000), ("nnUNetTrainer_1epoch", 1), ("nnUNetTrainer_5epochs", 5), ("nnUNetTrainer_10epochs", 10),
    ("nnUNetTrainer_8000epochs", 8000),
  ])
  func namesSetTheNumberOfEpochs(name: String, epochs: Int) throws {
    let settings = try TrainerSettings(named: name)
    #expect(settings.name == name && settings.epochCount == epochs)
    #expect(settings.iterationsPerEpoch == 250 && settings.validationIterationsPerEpoch == 50)
  }

  @Test(arguments: ["nnUNetTrainer_1epochs", "nnUNetTrainer_7epochs", "", "MyTrainer"])
  func unknownNamesListTheKnownOnes(name: String) {
    let error = #expect(throws: TrainingError.self) { try TrainerSettings(named: name) }
    #expect(error?.description.contains("nnUNetTrainer_1epoch,") == true)
  }
}
