#!/usr/bin/env bash
# Trains models for ten steps and checks that sentence-transformers computes the same from what was
# written: embeddings of 1,000 sentences with the final directory, and for the first model also of 50
# with its checkpoint, MAP on a reranking set, and embeddings with weights exported in half precision.
# Then embeddings of 50 sentences by the last model with every mode of pooling, with each mix of layers,
# with word weights, with and without the layer of SimCSE's authors, and with the head of masked language
# modeling next to it; and with a template around every sentence by every MODEL_DIR.
#
#     tools/peer/interop.sh PYTHON SENTENCES.txt RERANK.jsonl MODEL_DIR...
#
# A MODEL_DIR of `default` means the model and sentences embedded in the binary.
# Environment: STEPS (10), BATCH_SIZE (16).
set -euo pipefail
cd "$(dirname "$0")/../.."
python=$1 sentences=$2 rerank=$3 steps=${STEPS:-10}
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo build -q -p simcse-cli
simcse=target/debug/simcse

# report WHAT A.npy B.npy [LIMIT]: prints how much embeddings differ, and fails if that is too much.
report() {
  local differences
  differences=$("$python" tools/peer/compare_embeddings.py "${@:2}") || { echo "$1: $differences: too much"; exit 1; }
  echo "$1: $differences"
}

# compare DIR LINES [LIMIT]: encodes the first LINES sentences with both, and puts the peer's report into
# $theirs. The peer gets the arguments of $options.
compare() {
  head -n "$2" "$sentences" > "$work/sentences.txt"
  "$simcse" encode "$work/sentences.txt" --model "$1" --output "$work/ours.npy" 2> /dev/null
  theirs=$("$python" tools/peer/evaluate.py "$1" --encode "$work/sentences.txt" --out "$work/theirs.npy" \
    "${options[@]}" 2> /dev/null | tail -n 1)
  report "$name $(basename "$1")" "$work/ours.npy" "$work/theirs.npy" "${@:3}"
}

first=yes
for model in "$@"; do
  name=$(basename "$model")
  out=$work/$name
  task=("$sentences" --model "$model")
  if [[ $model == default ]]; then task=(); fi
  "$simcse" train "${task[@]}" --output-dir "$out" --max-steps "$steps" --batch-size "${BATCH_SIZE:-16}" \
    > /dev/null 2> "$work/log" || { cat "$work/log"; exit 1; }
  options=()
  if [[ $first ]]; then
    compare "$out/checkpoint-$steps" 50
    options=(--rerank "$rerank")
  fi
  compare "$out" 1000
  if [[ $first ]]; then
    ours=$("$simcse" eval askubuntu --model "$out" --data "$rerank" --json 2> /dev/null)
    "$python" - "$name" "$ours" "$theirs" "$rerank" <<'PYTHON'
import json, sys
name, ours, theirs, rerank = sys.argv[1:]
ours, theirs = json.loads(ours)["map"], json.loads(theirs)[rerank]["map"]
print(f"{name}: MAP {ours:.6f} here, {theirs:.6f} by sentence-transformers")
sys.exit(abs(ours - theirs) > 1e-4)
PYTHON
    cp "$work/ours.npy" "$work/whole.npy"
    "$simcse" export --model "$out" --format safetensors --dtype f16 --output "$work/half" 2> /dev/null
    name="$name with weights of half precision"
    options=(--dtype float32)
    compare "$work/half" 1000
    report "$name and as trained" "$work/ours.npy" "$work/whole.npy" 1e-3
    # All of the peer's arithmetic is in half precision, too.
    name="$name, computed in it"
    options=()
    compare "$work/half" 50 5e-3
  fi
  first=
  rm -rf "$out"
done

options=()
for flags in "--pooling "{cls,max,mean_sqrt_len_tokens,weightedmean,lasttoken} \
  "--pooled-layers "{avg_top2,avg_first_last} "--pooling cls --mlp "{always,only_train} \
  "--word-weights idf" "--word-weights idf --word-weights-in-training --pooled-layers avg_top2" \
  "--pooled-layers avg_top2 --pooling max --mlp always"; do
  name="$(basename "$model") with $flags"
  # shellcheck disable=SC2086
  "$simcse" train "${task[@]}" $flags --output-dir "$out" --max-steps 2 --batch-size 8 \
    > /dev/null 2> "$work/log" || { cat "$work/log"; exit 1; }
  compare "$out" 50
  rm -rf "$out"
done

name="$(basename "$model") with masked language modeling"
"$simcse" train "${task[@]}" --mlm-weight 0.1 --output-dir "$out" --max-steps 2 --batch-size 8 \
  > /dev/null 2> "$work/log" || { cat "$work/log"; exit 1; }
[[ -f $out/mlm_head.safetensors ]]
compare "$out" 50

for model in "$@"; do
  [[ $model != default ]] || continue
  name="$(basename "$model") with a template"
  rm -rf "$out"
  "$simcse" train "$sentences" --model "$model" --template 'This sentence : "[X]" means [MASK]' --pooling lasttoken \
    --output-dir "$out" --max-steps 2 --batch-size 8 > /dev/null 2> "$work/log" || { cat "$work/log"; exit 1; }
  compare "$out" 50
done
