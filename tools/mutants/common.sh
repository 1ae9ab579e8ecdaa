# Shared by the scripts of this folder, which plant mistakes in a copy of the tree and see whether
# tests notice them. A script defines four functions and then calls `main`:
#
#     print_header      prints the head of the table
#     all_mistakes      the list, as calls of `in_file` and `plant`
#     check_unchanged   fails unless the tests pass without a mistake
#     try_mistake NAME  tests the copy, in which the mistake has been planted
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
failures=0

# in_file ENDING: the mistakes below are in the one source file with this path ending, in whatever
# folder its crate keeps it.
in_file() {
  local path matches=()
  while read -r path; do
    if [[ -f $path ]]; then matches+=("$path"); fi
  done < <(git ls-files --cached --others --exclude-standard -- ":(glob)**/src/**/$1" | sort -u)
  if ((${#matches[@]} != 1)); then
    echo "error: expected one source file **/src/**/$1, found ${#matches[@]}: ${matches[*]-}" >&2
    failures=$((failures + 1)) file=
    return
  fi
  file=${matches[0]}
}

# plant NAME SED: a mistake; SED changes one line of the file.
plant() {
  [[ $file && $1 =~ $only ]] || return 0
  if [[ $phase == check ]]; then
    local changed
    changed=$(sed "$2" "$file" | diff "$file" - | grep -c '^>' || true)
    if [[ $changed != 1 ]]; then
      echo "error: $1: the edit changes $changed lines of $file, expected 1: $2" >&2
      failures=$((failures + 1))
    fi
    return 0
  fi
  tried=$((tried + 1))
  check_unchanged
  sed -i "$2" "$copy/$file"
  try_mistake "$1"
  cp "$file" "$copy/$file" # a copy and not a move: cargo compares times of change
}

# copy_tree: copies the checkout to $copy, with links to the dependencies that are already compiled.
copy_tree() {
  local target=${CARGO_TARGET_DIR:-target}
  mkdir -p "$target"
  copy=$(mktemp -d "$(realpath "$target")/mutants.XXXXXX")
  trap 'rm -rf "$copy"' EXIT
  git ls-files --cached --others --exclude-standard -z | while IFS= read -r -d '' path; do
    if [[ -f $path ]]; then printf '%s\0' "$path"; fi
  done | xargs -0 cp --parents -t "$copy"
  local part
  for part in deps build .fingerprint; do
    if [[ -d $target/debug/$part ]]; then
      mkdir -p "$copy/target/debug"
      cp -al "$target/debug/$part" "$copy/target/debug/"
    fi
  done
  export CARGO_TARGET_DIR=$copy/target CARGO_INCREMENTAL=0
}

# main [--check] [REGEX]: checks that all mistakes fit before it tries those whose names match.
main() {
  local check_only=
  if [[ ${1-} == --check ]]; then
    check_only=yes
    shift
  fi
  phase=check only=.
  all_mistakes
  if ((failures)); then
    echo "error: $failures of the mistakes no longer fit the source; correct them in $0" >&2
    exit 1
  fi
  if [[ $check_only ]]; then return; fi
  copy_tree
  phase=try only=${1:-.} tried=0
  print_header
  all_mistakes
  if ((tried == 0)); then
    echo "error: no mistake's name matches $only" >&2
    exit 1
  fi
  ((failures == 0))
}
