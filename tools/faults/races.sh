#!/usr/bin/env bash
# Starts two runs in one directory at the same time: exactly one must proceed.
source "$(dirname "$0")/common.sh"
races=$([[ $form == long ]] && echo 100 || echo 6)

good=0
for ((race = 0; race < races; race++)); do
  rm -rf out
  "$simcse" "${new[@]}" --max-steps 1 --output-dir out >log1 2>&1 &
  first=$!
  "$simcse" "${new[@]}" --max-steps 1 --output-dir out >log2 2>&1 &
  second=$!
  one=0 two=0
  wait $first || one=$?
  wait $second || two=$?
  case "$one$two" in
    01) loser=log2 ;;
    10) loser=log1 ;;
    *) continue ;;
  esac
  if grep -qE '^error: .*(another run is writing into|already holds)' $loser && "$simcse" "${resume[@]}" out >log 2>&1; then
    good=$((good + 1))
  fi
done
verdict races "$good" "$races" "races between two runs had one winner and one refusal"
