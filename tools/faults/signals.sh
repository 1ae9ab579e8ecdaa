#!/usr/bin/env bash
# Sends SIGINT and SIGTERM while a run loads, tokenizes, trains, evaluates and saves, while
# sentences are encoded from a file and from a pipe, and while data is downloaded. The program must
# end soon, with status 130; the run must resume to the same weights; no partial file may have a
# final name and no temporary file may remain. A second signal ends the program immediately.
source "$(dirname "$0")/common.sh"
moments=$([[ $form == long ]] && echo 25 || echo 4)
sed -n '1,20p' "$root/simcse-cli/src/default/rerank.jsonl" >dev.jsonl

scored=("${new[@]}" "${ten_steps[@]}" --eval-rerank dev.jsonl --eval-steps 1 --output-dir)
finish() { if begun "$1"; then "$simcse" "${resume[@]}" "$1"; else "$simcse" "${scored[@]}" "$1"; fi; }
# duration COMMAND…: prints how many milliseconds it takes.
duration() {
  local begin
  begin=$(date +%s%N)
  "$@" >log 2>&1
  echo $((($(date +%s%N) - begin) / 1000000))
}
milliseconds=$(duration "$simcse" "${scored[@]}" whole)
expected=$(weights whole)
"$simcse" encode sentences.txt --model model --output whole.npy 2>/dev/null

good=0 all=0
# tried OUTCOME WHAT: counts an outcome, and prints a bad one.
tried() {
  all=$((all + 1))
  if [[ $1 == good ]]; then good=$((good + 1)); else echo "$2: $1: $(tail -n 1 log)"; fi
}
# ended STATUS DIR: prints `good` if the status is right and the run resumes to the same weights.
ended() {
  [[ $1 == 130 || $1 == 0 ]] || { echo "status $1" && return; }
  finish "$2" >log2 2>&1 || { echo stuck && return; }
  [[ $(weights "$2") == "$expected" ]] && echo good || echo wrong
}
# send_signal SIGNAL FROM TO COMMAND…: sends the signal at a random moment between FROM and TO
# milliseconds. Prints the status, or `slow` if the command takes more than ten seconds to end (a
# step and a save take a few hundredths of a second).
send_signal() {
  local name=$1 from=$2 to=$3 status=0 begin
  shift 3
  "$@" >log 2>&1 &
  local child=$!
  sleep "$(awk -v ms="$from" 'BEGIN { print ms / 1000 }')"
  pause $((to - from))
  kill "-$name" "$child" 2>/dev/null || true
  begin=$(date +%s%N)
  wait "$child" || status=$?
  ((($(date +%s%N) - begin) / 1000000 < 10000)) || status=slow
  echo $status
}
# encoded STATUS: prints `good` if the status is right and no partial file remains.
encoded() {
  local outcome=good
  [[ $1 == 130 || $1 == 0 ]] || outcome="status $1"
  [[ ! -e out.npy ]] || cmp -s out.npy whole.npy || outcome="half a file"
  [[ -z $(find . -maxdepth 1 -name '.*.tmp') ]] || outcome="a temporary file"
  echo "$outcome"
}
# fresh_pipe: makes a pipe that holds the sentences and stays open.
fresh_pipe() {
  rm -f pipe
  mkfifo pipe
  exec 9<>pipe
  cat sentences.txt >&9
}

# Counting the tokens of these sentences, which a run does first, takes seconds.
for ((copy = 0; copy < 500; copy++)); do cat sentences.txt; done >many.txt
many=(train many.txt --model model --batch-size 16 --max-seq-length 12 --output-dir out)
rm -f log # an earlier one would be taken for its first line
begin=$(date +%s%N)
"$simcse" "${many[@]}" >log 2>&1 &
until [[ -s log ]]; do sleep 0.01; done
counting=$((($(date +%s%N) - begin) / 1000000))
kill $! && wait $! || true

# A server for the downloads that takes a quarter of a second per file.
mkdir served
for name in text_tokenized.txt dev.txt test.txt; do head -c 200000 many.txt >served/$name; done
gzip -1 served/text_tokenized.txt
cat >server.py <<'END'
import http.server, os, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self, send=False):
        body = open("served/" + os.path.basename(self.path), "rb").read()
        begin = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.send_response(206 if begin else 200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(body) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        step = len(body) // 10 + 1
        for at in range(begin, len(body) if send else 0, step):
            self.wfile.write(body[at:at + step])
            time.sleep(0.025)
    def do_GET(self):
        self.do_HEAD(True)
    def handle_one_request(self):
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, file=open("port", "w"), flush=True)
server.serve_forever()
END
fetching=
if command -v python3 >/dev/null; then
  python3 server.py &
  server=$!
  cleanup() { kill $server 2>/dev/null || true; rm -rf "$work"; }
  until [[ -s port ]]; do sleep 0.01; done
  export SIMCSE_ASKUBUNTU_URL=http://127.0.0.1:$(<port) NO_PROXY=127.0.0.1
  fetch=("$simcse" fetch askubuntu --output-dir fetched)
  fetching=$(duration "${fetch[@]}")
  cmp fetched/text_tokenized.txt.gz served/text_tokenized.txt.gz
else
  echo "signals: skipped signals during downloads: no python3"
fi
# fetched STATUS: prints `good` if the status is right, no partial file has a final name, and a
# second call downloads the rest.
fetched() {
  [[ $1 == 130 || $1 == 0 ]] || { echo "status $1" && return; }
  for name in text_tokenized.txt.gz dev.txt test.txt; do
    [[ ! -e fetched/$name ]] || cmp -s fetched/$name served/$name || { echo "half a file" && return; }
  done
  "${fetch[@]}" >log2 2>&1 || { echo stuck && return; }
  for name in text_tokenized.txt.gz dev.txt test.txt; do
    cmp -s fetched/$name served/$name || { echo wrong && return; }
  done
  [[ -z $(find fetched -name '*.incomplete' -o -name '*.tmp') ]] && echo good || echo "a temporary file"
}

# An earlier signal could arrive before the program has installed its handlers.
soonest=40
for signal in INT TERM; do
  for ((moment = 0; moment < moments; moment++)); do
    rm -rf out
    status=$(send_signal $signal $soonest "$milliseconds" "$simcse" "${scored[@]}" out)
    tried "$(ended "$status" out)" "$signal while training"

    rm -f out.npy
    status=$(send_signal $signal $soonest "$milliseconds" "$simcse" encode sentences.txt --model model --output out.npy)
    tried "$(encoded "$status")" "$signal while encoding"

    fresh_pipe
    status=$(send_signal $signal $soonest "$milliseconds" "$simcse" encode pipe --model model --output out.npy)
    [[ $status == 130 ]] && outcome=$(encoded "$status") || outcome="status $status"
    tried "$outcome" "$signal while encoding from a pipe"

    if [[ $fetching ]]; then
      rm -rf fetched
      status=$(send_signal $signal $soonest "$fetching" "${fetch[@]}")
      tried "$(fetched "$status")" "$signal while fetching"
    fi
  done
  for ((moment = 0; moment < (moments + 4) / 5; moment++)); do
    rm -rf out
    status=$(send_signal $signal $((counting * 3 / 10)) $((counting * 8 / 10)) "$simcse" "${many[@]}")
    outcome=good
    [[ $status == 130 && ! -s log && ! -e out ]] || outcome="status $status"
    tried "$outcome" "$signal while tokenizing"
  done
done

# Signals at the very calls that load and save; `twice` sends the second one with the next call.
if strace -o /dev/null true 2>/dev/null; then
  rm -rf out
  strace -o trace -e trace=openat,fsync "$simcse" "${scored[@]}" out >log 2>&1
  loads=$(awk '/^openat/ { n++; if (/model\/model.safetensors/ && !found) found = n } END { print found }' trace)
  saves=$(awk '/^openat/ && /checkpoint-2.partial/ { begun = 1 } /^fsync/ { n++; if (begun && !found) found = n } END { print found }' trace)
  for signal in INT TERM; do
    for place in "openat $loads" "fsync $saves"; do
      for times in once twice; do
        rm -rf out
        status=0
        read -r call when <<<"$place"
        [[ $times == once ]] || when=$when..$((when + 1))
        strace -o /dev/null -e "trace=$call" -e "inject=$call:signal=$signal:when=$when" \
          "$simcse" "${scored[@]}" out >log 2>&1 || status=$?
        [[ $status == 130 ]] && outcome=$(ended "$status" out) || outcome="status $status"
        tried "$outcome" "$signal $times at $call $when"
      done
    done
  done
else
  echo "signals: skipped signals at chosen calls: no strace, or no permission to trace"
fi
verdict signals "$good" "$all" "signals ended a command with status 130, or came after its end, and lost nothing"
