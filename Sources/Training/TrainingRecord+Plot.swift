import Foundation
import Plotting

extension TrainingRecord {
  /// Writes nnU-Net's `progress.png`: losses with pseudo Dice, seconds per epoch, learning rate.
  func plot(to file: URL) throws {
    let durations = zip(epochEndTimestamps, epochStartTimestamps).map { $0 - $1 }
    try LineChart.write(
      [
        LineChart(
          series: [
            .init("loss_tr", trainLosses, color: .blue),
            .init("loss_val", validationLosses, color: .red),
            .init("pseudo dice", meanForegroundDice, color: .green, style: .dotted, side: .right),
            .init("pseudo dice (mov. avg.)", emaForegroundDice, color: .green, side: .right),
          ], stepLabel: "epoch", leftLabel: "loss", rightLabel: "pseudo dice"),
        LineChart(
          series: [.init("epoch duration", durations, color: .blue)], stepLabel: "epoch", leftLabel: "time [s]",
          leftStartsAtZero: true),
        LineChart(
          series: [.init("learning rate", learningRates, color: .blue)], stepLabel: "epoch", leftLabel: "learning rate"),
      ], to: file)
  }
}
