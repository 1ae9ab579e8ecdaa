# Shared by the fault scripts. Each takes `short` (the default) or `long`, prints one line, and
# fails if a run was lost.
#
# The runs train the embedded default's model (about a megabyte) on its sentences for a few steps,
# in a temporary directory.
set -euo pipefail
form=${1:-short}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
simcse=${SIMCSE:-$root/target/debug/simcse}
[[ -x $simcse ]] || (cd "$root" && cargo build -p simcse-cli)
# Work in memory unless TMPDIR says otherwise; powerloss.sh covers what disks do.
[[ -n ${TMPDIR:-} || ! -w /dev/shm ]] || export TMPDIR=/dev/shm
work=$(mktemp -d)
cleanup() { rm -rf "$work"; }
trap cleanup EXIT
cd "$work"
export RAYON_NUM_THREADS=1 # same result, and faster for many short runs on few cores

head -n 400 "$root/simcse-cli/src/default/sentences.txt" >sentences.txt
"$simcse" train --max-steps 1 --output-dir model 2>/dev/null >&2
rm -rf model/checkpoint-*

# The command for a new run, except for its length and --output-dir.
new=(train sentences.txt --model model --batch-size 16 --max-seq-length 12 --learning-rate 1e-3)
ten_steps=(--max-steps 10 --save-steps 2 --save-total-limit 2)
# Resumes a run from its newest complete checkpoint; the directory follows.
resume=(train --resume-from-checkpoint auto --output-dir)

# begun DIR: succeeds if there is a checkpoint to resume from.
begun() { compgen -G "$1/checkpoint-*" >/dev/null; }

# weights DIR: prints the digest of its model.
weights() { sha256sum <"$1/model.safetensors"; }

# pause MILLISECONDS: sleeps for a random time up to that.
pause() { sleep "$(awk -v most="$1" -v seed="$RANDOM$RANDOM" 'BEGIN { srand(seed); printf "%.3f", rand() * most / 1000 }')"; }

# verdict NAME GOOD ALL TEXT: reports, and fails unless all were good.
verdict() {
  echo "$1: $2 of $3 $4 (${SECONDS} s)"
  [[ $2 == "$3" ]]
}
