#!/usr/bin/env bash
# Does a token cost more with ten million sentences than with a thousand? Varies the sentences of a
# file to make files of growing size, trains on each for some steps, and prints the time from start
# to first step, the peak memory, and the median cost of a token. Every line's memory includes the
# model, so the growth is due to the text; a small model shows it clearly.
#
#     tools/measure/scaling.sh SENTENCES.txt MODEL_DIR [FLAGS OF simcse train]...
#
# Environment: SIZES ("1000 100000 10000000"), STEPS (400), SIMCSE (the binary; built if not given).
set -euo pipefail
sentences=$(realpath "$1") model=$2
shift 2
if [[ -z ${SIMCSE:-} ]]; then
  root=$(cd "$(dirname "$0")/../.." && pwd)
  (cd "$root" && cargo build -q -p simcse-cli)
  SIMCSE=${CARGO_TARGET_DIR:-$root/target}/debug/simcse
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# vary N: prints N sentences, repeating those of the file; from the second round on, one word of
# each is replaced by a word of another sentence.
vary() {
  awk -v n="$1" 'BEGIN { srand(1) }
    length($0) >= 10 { lines[count++] = $0 }
    END {
      for (i = 0; i < n; i++) {
        words = split(lines[i % count], word, " ")
        if (i >= count) {
          others = split(lines[int(rand() * count)], other, " ")
          word[1 + int(rand() * words)] = other[1 + int(rand() * others)]
        }
        line = word[1]
        for (w = 2; w <= words; w++) line = line " " word[w]
        print line
      }
    }' "$sentences"
}

now() { date +%s.%N; }
printf '%10s %10s %14s %12s %16s\n' sentences 'text MB' 'first step s' 'memory MB' 'µs per token'
for size in ${SIZES:-1000 100000 10000000}; do
  vary "$size" > "$work/text"
  rm -rf "$work/run"
  started=$(now)
  "$SIMCSE" train "$work/text" --model "$model" --output-dir "$work/run" --max-steps "${STEPS:-400}" "$@" \
    --json > "$work/report" 2> "$work/log" &
  process=$!
  # The file is created once everything has been read.
  until [[ -e $work/run/metrics.jsonl ]] || ! kill -0 $process 2> /dev/null; do sleep 0.02; done
  begun=$(now)
  wait $process || { cat "$work/log" >&2; exit 1; }
  memory=$(sed -E 's/.*"peak_memory_bytes":([0-9]+).*/\1/' "$work/report")
  cost=$(grep -o '"tokens_per_second":[0-9.]*' "$work/run/metrics.jsonl" | cut -d: -f2 | sort -g |
    awk '{ speed[NR] = $1 } END { print 1e6 / speed[int((NR + 1) / 2)] }')
  awk -v n="$size" -v bytes="$(stat -c %s "$work/text")" -v from="$started" -v to="$begun" -v memory="$memory" -v cost="$cost" \
    'BEGIN { printf "%10d %10.1f %14.2f %12.1f %16.2f\n", n, bytes / 1e6, to - from, memory / 1e6, cost }'
done
