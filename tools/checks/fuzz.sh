#!/usr/bin/env bash
# Runs all fuzz targets, or those named, two at a time, for EACH seconds each. Prints one line per
# target: the number of executions, and how it ended. A target that finds something ends early and
# leaves the input in fuzz/artifacts; the corpus it builds stays in fuzz/corpus.
#
#     tools/checks/fuzz.sh [TARGET]...
#
# Environment: EACH (600). Needs a nightly toolchain and cargo-fuzz.
set -euo pipefail
cd "$(dirname "$0")/../.."
targets=("$@")
if ((!$#)); then mapfile -t targets < <(ls fuzz/seeds); fi
cp Cargo.lock fuzz/ # fuzz the versions that the program is built with
cargo +nightly fuzz build --sanitizer none
bin=fuzz/target/$(rustc -vV | sed -n 's/^host: //p')/release
files=$(mktemp -d -p /dev/shm)
trap 'rm -rf "$files"' EXIT
export bin files

run() {
  local corpus=fuzz/corpus/$1 seeds=fuzz/seeds/$1 artifacts=fuzz/artifacts/$1/ ended=clean
  mkdir -p "$corpus" "$artifacts"
  # The dictionary: every string that occurs in the seeds.
  (echo '# words' && grep -aoh '"[^"\\]*"' "$seeds"/* | sort -u | sed 's/"\(.*\)"/"\\"\1\\""/') > "$corpus.words"
  TMPDIR=$files "$bin/$1" "$corpus" "$seeds" -dict="$corpus.words" -artifact_prefix="$artifacts" -use_value_profile=1 \
    -max_total_time="${EACH:-600}" -timeout=60 -print_final_stats=1 > "$corpus.log" 2>&1 || ended="see $corpus.log"
  echo "$1: $(awk '/number_of_executed_units/ { print $2 }' "$corpus.log") executions, $ended"
}
export -f run
printf '%s\n' "${targets[@]}" | xargs -P 2 -I {} bash -c 'run {}'
