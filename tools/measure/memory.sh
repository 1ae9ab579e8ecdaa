#!/usr/bin/env bash
# Compares the memory that a run predicts with what it uses: runs a few steps with every model and
# set of flags and prints a Markdown table. Exits with status 1 if a run uses more than predicted,
# or less than 1/1.15 of it.
#
#     tools/measure/memory.sh SENTENCES DEVELOPMENT_SET MODEL...
#
# SENTENCES needs 512 different ones; DEVELOPMENT_SET is for --eval-rerank. Environment: STEPS (3), SIMCSE (the binary).
set -euo pipefail

simcse=${SIMCSE:-$(dirname "$0")/../../target/debug/simcse}
sentences=$1
development=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
figure() { sed -E "s/.*\"$1\":([0-9]+).*/\1/" "$work/report"; }

# Each case is named by its flags. A few steps are enough for every buffer to have been reused; the
# prediction considers only the batches of these steps.
cases=(
    "--batch-size 32 --precision f32"
    "--batch-size 64 --max-seq-length 16 --precision auto"
    "--batch-size 32 --max-seq-length 128 --gradient-accumulation-steps 2 --precision auto"
    "--batch-size 64 --pooling cls --mlp only_train --precision f32"
    "--batch-size 64 --pooled-layers avg_top2 --mlp always --precision f32"
    "--batch-size 128 --eval-rerank $development --precision auto"
    "--batch-size 512 --mini-batch-tokens 4096 --precision auto"
    "--batch-size 64 --off-dropout --dup-rate 0.32 --precision auto"
    "--batch-size 128 --focal-m 0.3 --noise-negatives 2048 --precision auto"
    "--batch-size 512 --max-seq-length 128 --mini-batch-tokens 1024 --eval-rerank $development --precision auto"
)
failures=0
echo "| model | flags | predicted, MB | used, MB | predicted / used |"
echo "|---|---|---|---|---|"
for model in "$@"; do
    for flags in "${cases[@]}"; do
        rm -rf "$work/out"
        # shellcheck disable=SC2086
        "$simcse" train "$sentences" --model "$model" $flags --max-steps "${STEPS:-3}" --output-dir "$work/out" --json \
            2>"$work/errors" >"$work/report" || { cat "$work/errors" >&2; exit 1; }
        shown=$(sed -E "s|$development|…|" <<<"$flags")
        awk -v model="$(basename "$model")" -v flags="$shown" \
            -v predicted="$(figure predicted_memory_bytes)" -v used="$(figure peak_memory_bytes)" 'BEGIN {
                ratio = predicted / used
                printf "| %s | `%s` | %.0f | %.0f | %.3f |\n", model, flags, predicted / 1e6, used / 1e6, ratio
                exit !(1 <= ratio && ratio <= 1.15)
            }' || failures=$((failures + 1))
    done
done
[ "$failures" = 0 ]
