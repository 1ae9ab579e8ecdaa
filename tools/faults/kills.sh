#!/usr/bin/env bash
# kill -9 at random moments, several per run: the run ends in the weights of the one that nobody killed.
source "$(dirname "$0")/common.sh"
wanted=$([[ $form == long ]] && echo 200 || echo 12)

begin=$(date +%s%N)
train whole >log 2>&1
milliseconds=$((($(date +%s%N) - begin) / 1000000))
expected=$(weights whole)

kills=0 good=0 chain=0
while ((kills < wanted)); do
  rm -rf out
  for ((chain = 0; ; chain++)); do
    if begun out; then command=resume; else rm -rf out && command=train; fi
    $command out >log 2>&1 &
    # After a while it is let go on to its end.
    ((chain < 6 && kills + chain < wanted)) || { wait $! && break || { cat log && exit 1; }; }
    pause "$milliseconds"
    child=$(pgrep -P $! -x simcse || echo $!)
    kill -9 "$child" 2>/dev/null || true
    if wait $!; then break; fi
  done
  if [[ $(weights out) == "$expected" ]]; then good=$((good + chain)); fi
  kills=$((kills + chain))
done 2>/dev/null
verdict kills "$good" "$kills" "kills left a run that ended in the same weights"
