#!/usr/bin/env bash
# Runs of several ranks under mpirun: a rank that is killed at a random moment, or that stalls, ends
# the whole run within a stated time and with one message, and the newest checkpoint resumes to the
# same weights; so does one that runs out of memory. Ctrl-C on one rank stops all after one
# checkpoint; ranks with other data, and other commands, are refused.
#
# SIMCSE must be a program that was built with `--features mpi`.
export SIMCSE=${SIMCSE:?a program that was built with --features mpi}
SIMCSE=$(realpath "$SIMCSE")
source "$(dirname "$0")/common.sh"
kills=$([[ $form == long ]] && echo 50 || echo 8)
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# Seconds within which a run must end after a rank was killed, and after the time-out of a stall.
limit=10

# on RANKS ARGUMENTS: runs the program on so many ranks.
on() { mpirun -n "$1" --oversubscribe --bind-to none "$simcse" --threads 1 "${@:2}"; }

# rank NUMBER: prints the process of a rank; nothing if it has not started, or ended.
rank() {
  local pid
  for pid in $(pgrep -f "^$simcse --threads 1 train" || true); do
    if grep -qzxs "OMPI_COMM_WORLD_RANK=$1" "/proc/$pid/environ"; then echo "$pid"; fi
  done
}

# wait_for FILE TEXT: waits until a file has a line with a text.
wait_for() { until grep -qs -- "$2" "$1"; do sleep 0.02; done; }

steps=(--max-steps 30 --save-steps 3 --save-total-limit 2)
begin=$(date +%s%N)
on 3 "${new[@]}" "${steps[@]}" --output-dir whole >log 2>&1 || { cat log && exit 1; }
milliseconds=$((($(date +%s%N) - begin) / 1000000))
expected=$(weights whole)

good=0 begun=0
for ((kill = 0; kill < kills; kill++)); do
  rm -rf out
  on 3 "${new[@]}" "${steps[@]}" --output-dir out >log 2>&1 &
  run=$!
  pause "$milliseconds"
  victim=$(rank $((RANDOM % 3)))
  if [[ -n $victim ]]; then kill -9 "$victim" 2>/dev/null || true; fi
  ended=$SECONDS
  wait $run 2>/dev/null || true
  if ((SECONDS - ended > limit)); then echo "ranks: the run went on for $((SECONDS - ended)) s after a kill" && exit 1; fi
  if begun out; then
    begun=$((begun + 1))
    on 3 "${resume[@]}" out >log 2>&1 || { cat log && exit 1; }
  else
    on 3 "${new[@]}" "${steps[@]}" --output-dir out >log 2>&1 || { cat log && exit 1; }
  fi
  if [[ $(weights out) == "$expected" ]]; then good=$((good + 1)); fi
done
verdict ranks "$good" "$kills" "kills of one rank of three ($begun of them after the first checkpoint) led to the same weights"

# A rank that stalls.
rm -rf out
on 3 "${new[@]}" --max-steps 100000 --save-steps 3 --save-total-limit 2 --rank-timeout 3 --output-dir out >log 2>&1 &
run=$!
wait_for log "^saved out/checkpoint-6$"
stalled=$(rank 1)
kill -STOP "$stalled"
ended=$SECONDS
wait $run && { cat log && exit 1; }
kill -KILL "$stalled" 2>/dev/null || true
if ((SECONDS - ended > 3 + limit)); then echo "ranks: the run went on for $((SECONDS - ended)) s after a stall" && exit 1; fi
verdict ranks "$(grep -c '^error: ' log)" 1 "message about a stalled rank: $(grep -m 1 '^error: ' log | cut -c 1-70)…"
on 2 "${resume[@]}" out --max-steps 100000 >log2 2>&1 &
run=$!
wait_for log2 "^saved out/checkpoint-"
kill -TERM "$(rank 1)"
wait $run 2>/dev/null && { cat log2 && exit 1; }
verdict ranks "$(grep -c '^stopped after step ' log2)" 1 "message after SIGTERM to rank 1 of 2, of the run that had stalled on 3"

# A rank that gets no more memory, after half a minute in which it lives on what it has.
if [[ $form == long ]]; then
  rm -rf out
  on 3 "${new[@]}" --max-steps 100000 --save-steps 3 --save-total-limit 2 --output-dir out >log 2>&1 &
  run=$!
  wait_for log "^saved out/checkpoint-6$"
  starved=$(rank 1)
  prlimit --pid "$starved" --as=1
  while kill -0 "$starved" 2>/dev/null; do sleep 0.1; done
  ended=$SECONDS
  wait $run 2>/dev/null && { cat log && exit 1; }
  if ((SECONDS - ended > limit)); then echo "ranks: the run went on for $((SECONDS - ended)) s without memory" && exit 1; fi
  failed=$(grep -m 1 '^memory allocation of .* failed' log || true)
  verdict ranks "$(wc -w <<<"${failed:+one}")" 1 "message of a rank without memory: $failed"
fi

# Ranks that would do different things, and commands that do not run on several.
cp sentences.txt other.txt && echo "one more sentence of this rank" >>other.txt
begin=(train --model model --max-steps 2 --output-dir different)
mpirun -n 1 "$simcse" "${begin[@]}" sentences.txt : -n 1 "$simcse" "${begin[@]}" other.txt >log 2>&1 && { cat log && exit 1; }
[[ ! -e different ]]
verdict ranks "$(grep -c '^error: the training data differs: expected .* on rank 1$' log)" 1 "refusal of ranks with different data"
on 2 encode sentences.txt --model model --output e.npy >log 2>&1 && { cat log && exit 1; }
verdict ranks "$(grep -c '^error: 2 processes were launched' log)" 1 "refusal of a command for one process"
