#!/usr/bin/env bash
# Kills a run with SIGKILL at random moments, several times: it must end with the same weights as a
# run that was never killed. A run killed before its first checkpoint is started again in the same
# directory.
source "$(dirname "$0")/common.sh"
wanted=$([[ $form == long ]] && echo 200 || echo 12)

begin=$(date +%s%N)
"$simcse" "${new[@]}" "${ten_steps[@]}" --output-dir whole >log 2>&1
milliseconds=$((($(date +%s%N) - begin) / 1000000))
expected=$(weights whole)

kills=0 good=0 chain=0 early=0
while ((kills < wanted)); do
  rm -rf out
  for ((chain = 0; ; chain++)); do
    if begun out; then command=("${resume[@]}" out); else command=("${new[@]}" "${ten_steps[@]}" --output-dir out); fi
    "$simcse" "${command[@]}" >log 2>&1 &
    # After a few kills, let the run finish.
    if ((chain == 6 || kills + chain == wanted)); then
      wait $! || { cat log && exit 1; }
      break
    fi
    pause "$milliseconds"
    kill -9 $! || true
    if wait $!; then break; fi
    if [[ -e out/run.toml ]] && ! begun out; then early=$((early + 1)); fi
  done
  if [[ $(weights out) == "$expected" ]]; then good=$((good + chain)); fi
  kills=$((kills + chain))
done 2>/dev/null
verdict kills "$good" "$kills" "kills ($early of them before the first checkpoint) left a run that ended with the same weights"
