import Testing

import Training

@Suite struct TrainingRecordTests {
  @Test func theMovingAverageStartsWithTheFirstValue() {
    var record = TrainingRecord()
    record.appendDice([0.5, 0.7])
    record.appendDice([.nan, 0.8])
    #expect(record.meanForegroundDice == [0.6, 0.8])
    #expect(record.emaForegroundDice[0] == 0.6 && abs(record.emaForegroundDice[1] - 0.62) < 1e-12)
  }

  @Test func aRecordSurvivesACheckpoint() {
    var record = TrainingRecord()
    record.learningRates = [0.01, 0.009]
    record.trainLosses = [-0.1]
    record.validationLosses = [-0.2]
    record.appendDice([0.5, 0.7])
    record.epochStartTimestamps = [1, 2]
    record.epochEndTimestamps = [1.5]
    #expect(TrainingRecord(checkpointValues: record.checkpointValues) == record)
    #expect(record.epochCount == 1)
  }
}
