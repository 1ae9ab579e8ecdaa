#!/usr/bin/env bash
# SIGINT and SIGTERM while a run loads, trains, evaluates and saves, and while sentences are encoded: the status is 130 and
# soon, the run resumes to the same weights, and nothing half written has a final name. A second signal quits at once.
source "$(dirname "$0")/common.sh"
moments=$([[ $form == long ]] && echo 100 || echo 4)
sed -n '1,200p' "$root/simcse-cli/default/rerank.jsonl" >dev.jsonl

scored() { train "$1" --eval-rerank dev.jsonl --eval-steps 1; }
go_on() { if begun "$1"; then resume "$1"; else rm -rf "$1" && scored "$1"; fi; }
begin=$(date +%s%N)
scored whole >log 2>&1
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
    status=$(signalled $signal "$simcse" train sentences.txt --model model --batch-size 16 --max-seq-length 12 \
      --learning-rate 1e-3 --save-total-limit 2 --output-dir out --max-steps 10 --save-steps 2 \
      --eval-rerank dev.jsonl --eval-steps 1)
    tried "$(ended "$status" out)" "$signal while training"

    rm -f out.npy
    status=$(signalled $signal "$simcse" encode sentences.txt --model model --output out.npy)
    outcome=good
    [[ $status == 130 || $status == 0 ]] || outcome="status $status"
    [[ ! -e out.npy ]] || cmp -s out.npy whole.npy || outcome="half a file"
    tried "$outcome" "$signal while encoding"
  done
done

# Exactly where it loads, saves and encodes; -t: the signal comes once, or again at the next call.
if strace -o /dev/null true 2>/dev/null; then
  for signal in INT TERM; do
    for when in 1 1+1; do
      for place in openat:model/model.safetensors fsync:out/.checkpoint-2.partial/optimizer.safetensors; do
        rm -rf out
        call=${place%%:*} status=0
        number=1
        if [[ $call == fsync ]]; then number=12; else number=60; fi
        scored out >log 2>&1 & wait $! || true
        rm -rf out
        strace -o /dev/null -e "trace=$call" -e "inject=$call:signal=$signal:when=$number${when#1}" \
          "$simcse" train sentences.txt --model model --batch-size 16 --max-seq-length 12 --learning-rate 1e-3 \
          --save-total-limit 2 --output-dir out --max-steps 10 --save-steps 2 --eval-rerank dev.jsonl --eval-steps 1 \
          >log 2>&1 || status=$?
        tried "$(ended "$status" out)" "$signal at $call $number, $when"
      done
    done
  done
fi
verdict signals "$good" "$all" "signals ended a command with status 130 or after its end, and cost nothing"
