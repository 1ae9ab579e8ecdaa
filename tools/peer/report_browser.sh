#!/usr/bin/env bash
# Opens pages in a browser, as report_browser.py says: report.html of a run on hostile sentences, and
# the page that compares it with others, one of which has a hostile name.
#
#     report_browser.sh PYTHON OUT
#
# PYTHON has playwright. OUT gets the runs and the screenshots.
set -euo pipefail
python=$1
out=$2
cd "$(dirname "$0")/../.."
mkdir -p "$out"
{
  printf '%s\n' '<script>alert(1)</script> how to install' '</title></svg><img src=x onerror=alert(2)> boot' \
    '"onmouseover=alert(3) no sound at all' 'a very long sentence without spaces:'"$(printf 'x%.0s' {1..400})"
  printf '\u202ethis one is written from right to left\n\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd, boot\n'
  for number in {1..400}; do
    echo "how do I install package $number on disk $((number % 7)) without a mouse"
  done
} > "$out/hostile.txt"
target/debug/simcse pretrain "$out/hostile.txt" --size tiny --max-steps 3 --vocab-size 400 --output-dir "$out/base" 2> /dev/null
target/debug/simcse train "$out/hostile.txt" --model "$out/base" --batch-size 16 --epochs 2 --learning-rate 1e-3 --hold-out 40 \
  --eval-steps 10 --logging-steps 10 --output-dir "$out/run" 2> /dev/null
"$python" tools/peer/report_browser.py "$out/run/report.html" "$out/screenshots"
for rate in 1e-3 1e-2; do
  target/debug/simcse train "$out/hostile.txt" --model "$out/base" --batch-size 8 --max-steps 12 --learning-rate "$rate" --hold-out 40 \
    --eval-steps 4 --logging-steps 4 --output-dir "$out/other/<b>rate&amp; $rate" 2> /dev/null
done
target/debug/simcse report "$out/run" "$out/other" --output "$out/runs.html"
"$python" tools/peer/report_browser.py "$out/runs.html" "$out/screenshots"
