#!/usr/bin/env bash
# From nothing to a trained model and pictures of its predictions: a synthetic data set is made, planned, preprocessed,
# trained on for a few epochs, and the held-out cases are predicted and evaluated.
# usage: Scripts/demo.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:?usage: Scripts/demo.sh FOLDER}
program=$PWD/.build/release/nnunet

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
export nnUNet_raw=$folder/raw nnUNet_preprocessed=$folder/preprocessed nnUNet_results=$folder/results
mkdir -p "$nnUNet_raw" "$nnUNet_preprocessed" "$nnUNet_results"
dataset=Dataset901_Demo
trainer=nnUNetTrainer_5epochs

step() { printf '\n=== %s\n' "$*"; }

step "1/6 Making a data set"
"$program" make_synthetic_dataset datasets/demo.json

step "2/6 Planning and preprocessing"
"$program" nnUNetv2_plan_and_preprocess -d 901 --verify_dataset_integrity -c 3d_fullres --clean --no_pp
# A network that a CPU trains in minutes; see plans/README.md.
cp plans/DemoPlans.json "$nnUNet_preprocessed/$dataset/DemoPlans.json"
"$program" nnUNetv2_preprocess -d 901 -plans_name DemoPlans -c 3d_fullres

step "3/6 Training"
"$program" nnUNetv2_train 901 3d_fullres 0 -p DemoPlans -tr $trainer

step "4/6 Predicting the held-out cases"
predictions=$folder/predictions
"$program" nnUNetv2_predict -d 901 -i "$nnUNet_raw/$dataset/imagesTs" -o "$predictions" -c 3d_fullres -p DemoPlans \
  -tr $trainer -f 0

step "5/6 Evaluating them"
"$program" nnUNetv2_evaluate_folder "$nnUNet_raw/$dataset/labelsTs" "$predictions" \
  -djfile "$predictions/dataset.json" -pfile "$predictions/plans.json"

step "6/6 Drawing them"
"$program" plot_predictions -i "$nnUNet_raw/$dataset/imagesTs" -ref "$nnUNet_raw/$dataset/labelsTs" \
  -pred "$predictions" -djfile "$predictions/dataset.json" -o "$folder/pictures"

printf '\nTraining curves: %s\n' "$nnUNet_results/$dataset/${trainer}__DemoPlans__3d_fullres/fold_0/progress.png"
printf 'Summary: %s\n' "$predictions/summary.json"
