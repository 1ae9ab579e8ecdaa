#!/usr/bin/env bash
# Injects a fault into each write, sync, rename, open, removal and mkdir of a save: the process is
# killed there, or the call fails with ENOSPC, EIO or EINTR. The newest complete checkpoint must
# resume, and the run must end with the same weights. A failed call is an error with status 1 that
# names the file or its directory; an interrupted one is no error. The short form tries every 23rd
# call.
source "$(dirname "$0")/common.sh"
stride=$([[ $form == long ]] && echo 1 || echo 23)
command -v strace >/dev/null || apt-get install -y strace >/dev/null 2>&1 || true
strace -o /dev/null true 2>/dev/null || { echo "syscalls: skipped: no strace, or no permission to trace" && exit 0; }

# Resuming does one step, a save, the removal of the old checkpoint, and the final model.
"$simcse" "${new[@]}" --save-total-limit 1 --max-steps 1 --output-dir base >log 2>&1
two_steps=("$simcse" "${resume[@]}" out --max-steps 2)
fresh() { rm -rf out && cp -r base out && rm -f out/model.safetensors; }
fresh
"${two_steps[@]}" >log 2>&1
expected=$(weights out)

# Saving happens on the main thread, so counting the calls of one process is enough.
calls='write|fsync|fdatasync|rename|openat|unlink|unlinkat|mkdir|rmdir'
fresh
strace -y -o trace -e "trace=${calls//|/,}" "${two_steps[@]}" >log 2>&1
# Each call from the first one in the new checkpoint on: its name, its number among calls of that
# name, and its path. A temporary file or directory is listed under its final name; a path relative
# to an open directory, as that directory.
awk -F'(' -v calls="^($calls)$" -v here="$PWD/" '
  $1 ~ calls {
    n[$1]++
    if (/checkpoint-2\.partial/ && !begun) begun = 1
    path = $0
    if (path ~ /^(rename|unlink|mkdir|rmdir)\(|\(AT_FDCWD/) { sub(/^[^"]*"/, "", path); sub(/".*/, "", path) }
    else { sub(/^[^<]*</, "", path); sub(/>.*/, "", path) }
    if (index(path, here) == 1) path = substr(path, length(here) + 1)
    if (match(path, /\/\.[^\/]*\.[0-9]+\.tmp$/)) {
      name = substr(path, RSTART + 2); sub(/\.[0-9]+\.tmp$/, "", name); path = substr(path, 1, RSTART) name
    }
    if ($1 == "rename" && match(path, /\.checkpoint-[0-9]+\.partial$/)) {
      path = substr(path, 1, RSTART - 1) substr(path, RSTART + 1, RLENGTH - 1 - length(".partial"))
    }
    if (begun) print $1, n[$1], path
  }' trace >points

good=0 all=0 line=0
while read -r call number path; do
  ((line++ % stride == 0)) || continue
  for fault in signal=KILL error=ENOSPC error=EIO error=EINTR; do
    fresh
    status=0
    strace -o /dev/null -e "trace=$call" -e "inject=$call:$fault:when=$number" \
      "${two_steps[@]}" >log 2>&1 || status=$?
    all=$((all + 1))
    reported=$(grep -c '^saved .*checkpoint-2$' log || true)
    complete=$([[ -d out/checkpoint-2 ]] && echo 1 || echo 0)
    outcome=$status
    if [[ $fault == error=EINTR ]]; then
      [[ $status == 0 ]] || outcome=bad
    elif [[ $fault == error=* ]] && grep -q '^warning: the page that shows the run: ' log; then # the run matters more
      [[ $status == 0 ]] || outcome=bad
    elif [[ $fault == error=* && $call == openat && $path == out/checkpoint-* ]]; then # only checks whether it may be deleted
      [[ $status == 0 && -d out/checkpoint-2 ]] || outcome=bad
    elif [[ $fault == error=* && $path == out* ]]; then
      named=(-e "$path")
      [[ $path != out/*/* ]] || named+=(-e "${path%/*}")
      [[ $status == 1 ]] && [[ -n $(grep '^error: ' log | grep -F "${named[@]}") ]] || outcome=bad
    elif [[ $fault == error=* && $path != log ]]; then # output to the terminal may be lost
      [[ $status == 0 ]] || outcome=bad
    fi
    ((reported <= complete)) || outcome=lost
    [[ $status == 0 ]] || "${two_steps[@]}" >log2 2>&1 || outcome=stuck
    [[ $(weights out) == "$expected" ]] || outcome=wrong
    [[ -z $(find out -name '*.partial' -o -name '*.tmp') ]] || outcome=litter
    case $outcome in
      bad | lost | stuck | wrong | litter) echo "$call $number $path $fault: $outcome: $(tail -n 1 log) / $(tail -n 1 log2)" ;;
      *) good=$((good + 1)) ;;
    esac
  done
done <points 2>/dev/null
verdict syscalls "$good" "$all" "faults at $(wc -l <points) system calls left a run that resumed to the same weights"
