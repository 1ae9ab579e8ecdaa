#!/usr/bin/env bash
# Cuts the power at each write, sync, rename, open, removal and mkdir of a save, by shutting down an
# ext4 image with an ioctl that does not flush its journal. Afterwards, a checkpoint that was
# reported as saved must be there and resume. The short form tries every 41st call. Needs root and a
# loop device.
source "$(dirname "$0")/common.sh"
stride=$([[ $form == long ]] && echo 1 || echo 41)
skip() { echo "powerloss: skipped: $1" && exit 0; }
((EUID == 0)) || skip "not root"
command -v mkfs.ext4 >/dev/null && command -v python3 >/dev/null || skip "no mkfs.ext4 or python3"
command -v strace >/dev/null || apt-get install -y strace >/dev/null 2>&1 || true
strace -o /dev/null true 2>/dev/null || skip "no strace, or no permission to trace"
cleanup() {
  umount "$work/disk" 2>/dev/null || true
  rm -rf "$work"
}
mkdir disk
truncate -s 96M image
mkfs.ext4 -q image
mount -o loop image disk 2>/dev/null || skip "no loop device"
power_off() { # EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
  python3 -c 'import fcntl, os, struct
fcntl.ioctl(os.open("disk", os.O_RDONLY), 0x8004587D, struct.pack("I", 2))'
}

"$simcse" "${new[@]}" --save-total-limit 1 --max-steps 1 --output-dir disk/out >log 2>&1
rm disk/out/model.safetensors
cp -r disk/out base
sync
umount disk
cp --sparse=always image before
cp -r base out
calls='write|fsync|fdatasync|rename|openat|unlink|unlinkat|mkdir|rmdir'
strace -o trace -e "trace=${calls//|/,}" "$simcse" "${resume[@]}" out --max-steps 2 >log 2>&1
expected=$(weights out)
awk -F'(' -v calls="^($calls)$" '
  $1 ~ calls { n[$1]++; if (/checkpoint-2\.partial/ && !begun) begun = 1; if (begun) print $1, n[$1] }' trace >points

good=0 all=0 line=0
while read -r call number; do
  ((line++ % stride == 0)) || continue
  cp --sparse=always before image
  mount -o loop image disk
  strace -o /dev/null -e "trace=$call" -e "inject=$call:signal=KILL:when=$number" \
    "$simcse" "${resume[@]}" disk/out --max-steps 2 >log 2>&1 || true
  power_off
  umount disk
  mount -o loop image disk
  all=$((all + 1))
  outcome=good
  if grep -q '^saved .*checkpoint-2$' log && [[ ! -d disk/out/checkpoint-2 ]]; then outcome=lost; fi
  "$simcse" "${resume[@]}" disk/out --max-steps 2 >log2 2>&1 || outcome=stuck
  if grep -q 'warning: .*falling back' log2; then outcome=damaged; fi
  [[ $(weights disk/out) == "$expected" ]] || outcome=wrong
  umount disk
  if [[ $outcome == good ]]; then good=$((good + 1)); else echo "$call $number: $outcome: $(tail -n 1 log) / $(tail -n 1 log2)"; fi
done <points
verdict powerloss "$good" "$all" "power cuts at $(wc -l <points) system calls lost no checkpoint that was reported as saved"
