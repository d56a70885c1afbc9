#!/usr/bin/env bash
# Kills a training at random moments (kill -9) and continues it, ten times; every continuation must start from a whole
# checkpoint. Needs the data set of Scripts/demo.sh.
# usage: Scripts/kill-training.sh DEMO_FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(cd "${1:?usage: Scripts/kill-training.sh DEMO_FOLDER}" && pwd)
program=$PWD/.build/release/nnunet
export nnUNet_raw=$folder/raw nnUNet_preprocessed=$folder/preprocessed nnUNet_results=$folder/killed
rm -rf "$nnUNet_results"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

for round in $(seq 10); do
  "$program" nnUNetv2_train 901 3d_fullres 0 -p DemoPlans -tr nnUNetTrainer_1000epochs --c > "$log" 2>&1 &
  process=$!
  sleep "$((RANDOM % 40 + 5)).$((RANDOM % 1000))"
  if ! kill -9 "$process" 2>/dev/null; then
    echo "round $round: the training had ended by itself:"
    tail -3 "$log"
    exit 1
  fi
  wait "$process" 2>/dev/null || true
  echo "round $round: $(grep -ohE 'Continuing from .*|Starting a new training' "$log")," \
    "killed in $(grep -oE 'Epoch [0-9]+$' "$log" | tail -1)"
  # From the second round on there must be a checkpoint, once an epoch was finished.
  if [ -e "$nnUNet_results"/Dataset901_Demo/*/fold_0/checkpoint_latest.h5 ]; then has_checkpoint=1; fi
  if [ "${has_checkpoint:-0}" = 1 ] && [ "$round" -gt 1 ] && [ "${had_checkpoint:-0}" = 1 ] &&
    ! grep -q 'Continuing from' "$log"; then
    echo "round $round: the training did not continue"
    exit 1
  fi
  had_checkpoint=${has_checkpoint:-0}
done
echo "10 kills, no damaged checkpoint"
