#!/usr/bin/env bash
# SIGINT and SIGTERM while a run loads, trains, evaluates and saves, and while sentences are encoded: the status is 130 and
# soon, the run resumes to the same weights, and nothing half written has a final name. A second signal quits at once.
source "$(dirname "$0")/common.sh"
moments=$([[ $form == long ]] && echo 25 || echo 4)
sed -n '1,20p' "$root/simcse-cli/src/default/rerank.jsonl" >dev.jsonl

scored=("${new[@]}" "${ten_steps[@]}" --eval-rerank dev.jsonl --eval-steps 1 --output-dir)
go_on() { if begun "$1"; then "$simcse" "${resume[@]}" "$1"; else rm -rf "$1" && "$simcse" "${scored[@]}" "$1"; fi; }
begin=$(date +%s%N)
"$simcse" "${scored[@]}" whole >log 2>&1
milliseconds=$((($(date +%s%N) - begin) / 1000000))
expected=$(weights whole)
"$simcse" encode sentences.txt --model model --output whole.npy 2>/dev/null

good=0 all=0
tried() { # OUTCOME WHAT
  all=$((all + 1))
  if [[ $1 == good ]]; then good=$((good + 1)); else echo "$2: $1: $(tail -n 1 log)"; fi
}
# ended STATUS DIR: whether that is a right end, and the run goes on to the same weights.
ended() {
  [[ $1 == 130 || $1 == 0 ]] || { echo "status $1" && return; }
  go_on "$2" >log2 2>&1 || { echo stuck && return; }
  [[ $(weights "$2") == "$expected" ]] && echo good || echo wrong
}
# signalled SIGNAL COMMAND…: a process that gets the signal at a random moment; leaves its status.
signalled() {
  local name=$1 status=0
  shift
  "$@" >log 2>&1 &
  local child=$!
  pause "$milliseconds"
  kill "-$name" "$child" 2>/dev/null || true
  wait "$child" || status=$?
  echo $status
}

for signal in INT TERM; do
  for ((moment = 0; moment < moments; moment++)); do
    rm -rf out
    status=$(signalled $signal "$simcse" "${scored[@]}" out)
    tried "$(ended "$status" out)" "$signal while training"

    rm -f out.npy
    status=$(signalled $signal "$simcse" encode sentences.txt --model model --output out.npy)
    outcome=good
    [[ $status == 130 || $status == 0 ]] || outcome="status $status"
    [[ ! -e out.npy ]] || cmp -s out.npy whole.npy || outcome="half a file"
    tried "$outcome" "$signal while encoding"
  done
done

# Exactly where it loads and where it saves; twice: the second signal comes with the next call.
if strace -o /dev/null true 2>/dev/null; then
  rm -rf out
  strace -o trace -e trace=openat,fsync "$simcse" "${scored[@]}" out >log 2>&1
  loads=$(awk '/^openat/ { n++; if (/model\/model.safetensors/ && !found) found = n } END { print found }' trace)
  saves=$(awk '/^openat/ && /checkpoint-2.partial/ { begun = 1 } /^fsync/ { n++; if (begun && !found) found = n } END { print found }' trace)
  for signal in INT TERM; do
    for place in "openat $loads" "fsync $saves"; do
      for times in once twice; do
        rm -rf out
        status=0
        read -r call when <<<"$place"
        [[ $times == once ]] || when=$when..$((when + 1))
        strace -o /dev/null -e "trace=$call" -e "inject=$call:signal=$signal:when=$when" \
          "$simcse" "${scored[@]}" out >log 2>&1 || status=$?
        [[ $status == 130 ]] && outcome=$(ended "$status" out) || outcome="status $status"
        tried "$outcome" "$signal $times at $call $when"
      done
    done
  done
else
  echo "signals: skipped those at chosen calls: no strace that may trace here"
fi
verdict signals "$good" "$all" "signals ended a command with status 130 or after its end, and cost nothing"
