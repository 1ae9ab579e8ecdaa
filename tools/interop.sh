#!/usr/bin/env bash
# Trains models for ten steps and checks that sentence-transformers computes the same with what was written: embeddings of
# 1,000 sentences from the final directory and from its checkpoint, and with the first model MAP on a reranking set.
# usage: interop.sh PYTHON SENTENCES.txt RERANK.jsonl MODEL_DIR...
# Environment: STEPS (10), BATCH_SIZE (16).
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1 sentences=$2 rerank=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo build -q -p simcse-cli
simcse=target/debug/simcse
head -n 1000 "$sentences" > "$work/sentences.txt"

reranking=(--rerank "$rerank")
for model in "$@"; do
  name=$(basename "$model")
  out=$work/$name
  "$simcse" train "$sentences" --model "$model" --output-dir "$out" --max-steps "${STEPS:-10}" \
    --batch-size "${BATCH_SIZE:-16}" > /dev/null 2> "$work/log" || { cat "$work/log"; exit 1; }
  for dir in "$out" "$out/checkpoint-${STEPS:-10}"; do
    "$simcse" encode "$work/sentences.txt" --model "$dir" --output "$work/ours.npy" 2> /dev/null
    theirs=$("$python" tools/peer_evaluate.py "$dir" --encode "$work/sentences.txt" --out "$work/theirs.npy" \
      "${reranking[@]}" 2> /dev/null | tail -n 1)
    if [[ ${#reranking[@]} -gt 0 ]]; then with_map=$theirs; fi
    echo "$name $(basename "$dir"): $("$python" tools/compare_embeddings.py "$work/ours.npy" "$work/theirs.npy")"
  done
  if [[ ${#reranking[@]} -gt 0 ]]; then
    reranking=()
    ours=$("$simcse" eval askubuntu --model "$out" --data "$rerank" --json 2> /dev/null)
    "$python" - "$name" "$ours" "$with_map" "$rerank" <<'PYTHON'
import json, sys
name, ours, theirs, rerank = sys.argv[1:]
ours, theirs = json.loads(ours)["map"], json.loads(theirs)[rerank]["map"]
print(f"{name}: MAP {ours:.6f} here, {theirs:.6f} by sentence-transformers")
sys.exit(abs(ours - theirs) > 1e-4)
PYTHON
  fi
  rm -rf "$out"
done
