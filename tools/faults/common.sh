# What the fault scripts share; each takes `short` (the default) or `long`, prints one line and fails if a run was lost.
#
# The runs are a few steps of the embedded default's model (a megabyte or so) on its sentences, in a directory of their own.
set -euo pipefail
form=${1:-short}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
simcse=${SIMCSE:-$root/target/debug/simcse}
[[ -x $simcse ]] || (cd "$root" && cargo build -p simcse-cli)
# In memory, unless TMPDIR says otherwise: what a disk would do is for powerloss.sh.
[[ -n ${TMPDIR:-} || ! -w /dev/shm ]] || export TMPDIR=/dev/shm
work=$(mktemp -d)
cleanup() { rm -rf "$work"; }
trap cleanup EXIT
cd "$work"
export RAYON_NUM_THREADS=1 # the result is the same, and many short runs on few cores are faster

head -n 400 "$root/simcse-cli/src/default/sentences.txt" >sentences.txt
"$simcse" train --max-steps 1 --output-dir model 2>/dev/null >&2
rm -rf model/checkpoint-*

# A new run, but for its length and --output-dir.
new=(train sentences.txt --model model --batch-size 16 --max-seq-length 12 --learning-rate 1e-3)
ten_steps=(--max-steps 10 --save-steps 2 --save-total-limit 2)
# A run that goes on from its newest complete checkpoint.
resume=(train --resume-from-checkpoint auto --output-dir)

# begun DIR: whether there is a checkpoint to go on from.
begun() { compgen -G "$1/checkpoint-*" >/dev/null; }

# weights DIR: the digest of its model.
weights() { sha256sum <"$1/model.safetensors"; }

# pause MILLISECONDS: sleeps for a random part of them.
pause() { sleep "$(awk -v most="$1" -v seed="$RANDOM$RANDOM" 'BEGIN { srand(seed); printf "%.3f", rand() * most / 1000 }')"; }

# verdict NAME GOOD ALL TEXT
verdict() {
  echo "$1: $2 of $3 $4 (${SECONDS} s)"
  [[ $2 == "$3" ]]
}
