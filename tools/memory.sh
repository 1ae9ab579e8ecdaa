#!/usr/bin/env bash
# Is the memory that a run predicts what it takes? Runs a few steps of every combination of model, batch and length, and
# prints a Markdown table; exits 1 if a run takes more than predicted, or less than 1/1.15 of it.
#
#     tools/memory.sh SENTENCES MODEL... [-- FLAGS OF simcse train]
set -euo pipefail

steps=${STEPS:-3}
sentences=$1
shift
models=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do models+=("$1"); shift; done
[ "${1-}" != -- ] || shift
simcse=${SIMCSE:-$(dirname "$0")/../target/debug/simcse}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
figure() { sed -E "s/.*\"$1\":([0-9]+).*/\1/" "$work/report"; }

failures=0
echo "| model | batch | length | pieces | predicted, MB | taken, MB | predicted / taken |"
echo "|---|---|---|---|---|---|---|"
for model in "${models[@]}"; do
    for case in "32 32 -" "128 32 -" "512 32 4096" "64 16 -"; do
        read -r batch length pieces <<<"$case"
        rm -rf "$work/out"
        cut=()
        [ "$pieces" = - ] || cut=(--mini-batch-tokens "$pieces")
        "$simcse" train "$sentences" --model "$model" --batch-size "$batch" --max-seq-length "$length" "${cut[@]}" \
            --max-steps "$steps" --output-dir "$work/out" --json "$@" 2>"$work/errors" >"$work/report" \
            || { cat "$work/errors" >&2; exit 1; }
        awk -v model="$(basename "$model")" -v batch="$batch" -v length_="$length" -v pieces="$pieces" \
            -v predicted="$(figure predicted_memory_bytes)" -v taken="$(figure peak_memory_bytes)" 'BEGIN {
                printf "| %s | %d | %d | %s | %.0f | %.0f | %.3f |\n", model, batch, length_, pieces, predicted / 1e6, taken / 1e6, predicted / taken
                exit !(taken <= predicted && predicted <= 1.15 * taken)
            }' || failures=$((failures + 1))
    done
done
[ "$failures" = 0 ]
