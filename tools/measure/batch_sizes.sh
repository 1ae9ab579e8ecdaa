#!/usr/bin/env bash
# Measures the cost of larger batches, here and with sentence-transformers: trains with batches of
# 128, 256 and 512 and prints a Markdown table of memory and speed. The peer's `--cached-mini-batch`
# counts sentences; our `--mini-batch-tokens` counts the tokens of both views.
#
#     PYTHON=path/to/python tools/measure/batch_sizes.sh MODEL SENTENCES [STEPS]
#
# Environment: BATCHES ("128 256 512"), MINI_BATCH_TOKENS (4096), PEER_MINI_BATCH (32), PRECISION
# (bf16 or f32), SIMCSE (the binary). Without PYTHON, the peer is left out.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)

model=$1 sentences=$2 steps=${3:-60}
batches=${BATCHES:-128 256 512}
tokens=${MINI_BATCH_TOKENS:-4096} peer_mini_batch=${PEER_MINI_BATCH:-32} precision=${PRECISION:-bf16}
simcse=${SIMCSE:-$root/target/debug/simcse}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# row BATCH HOW MEMORY_GB SENTENCES_PER_SECOND
row() { printf '| %s | %s | %.2f GB | %.1f |\n' "$@"; }

# here BATCH HOW FLAGS...
here() {
    local batch=$1 how=$2
    shift 2
    rm -rf "$work/out"
    "$simcse" train "$sentences" --model "$model" --batch-size "$batch" --max-steps "$steps" --precision "$precision" \
        --output-dir "$work/out" --json "$@" >"$work/report" 2>"$work/errors" || { tail -1 "$work/errors" >&2; return; }
    # The median step, because the first ones fill the buffers.
    local rate memory
    rate=$(sed -nE 's/.*"sentences_per_second":([0-9.]+).*/\1/p' "$work/out/metrics.jsonl" | sort -g |
        awk '{ r[NR] = $1 } END { print r[int((NR + 1) / 2)] }')
    memory=$(sed -E 's/.*"peak_memory_bytes":([0-9]+).*/\1/' "$work/report" | awk '{ print $1 / 1e9 }')
    row "$batch" "$how" "$memory" "$rate"
}

# peer BATCH HOW FLAGS...
peer() {
    [ -n "${PYTHON-}" ] || return 0
    local batch=$1 how=$2 bf16=()
    shift 2
    [ "$precision" != bf16 ] || bf16=(--bf16)
    if "$PYTHON" "$root/tools/peer/train.py" "$model" "$sentences" --batch-size "$batch" --steps "$steps" "${bf16[@]}" "$@" \
        >"$work/report" 2>"$work/errors"; then
        row "$batch" "$how" $(tail -1 "$work/report" | sed -E 's/.*"sentences_per_second": ([0-9.]+), "peak_memory_gb": ([0-9.]+).*/\2 \1/')
    else
        echo "| $batch | $how | does not fit | – |"
    fi
}

echo "| batch | | peak memory | sentences/s |"
echo "|---|---|---|---|"
for batch in $batches; do
    here "$batch" "here, whole batches"
    here "$batch" "here, pieces of $tokens tokens" --mini-batch-tokens "$tokens"
    peer "$batch" "sentence-transformers, whole batches"
    peer "$batch" "sentence-transformers, pieces of $peer_mini_batch sentences" --cached-mini-batch "$peer_mini_batch"
done
