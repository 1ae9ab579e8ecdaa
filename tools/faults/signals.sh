#!/usr/bin/env bash
# SIGINT and SIGTERM while a run loads, tokenises, trains, evaluates and saves, while sentences are encoded, from a file and from a
# pipe, and while data is fetched: the status is 130 and soon, the run resumes to the same weights, nothing half written has a
# final name and nothing temporary stays. A second signal quits at once.
source "$(dirname "$0")/common.sh"
moments=$([[ $form == long ]] && echo 25 || echo 4)
sed -n '1,20p' "$root/simcse-cli/src/default/rerank.jsonl" >dev.jsonl

scored=("${new[@]}" "${ten_steps[@]}" --eval-rerank dev.jsonl --eval-steps 1 --output-dir)
go_on() { if begun "$1"; then "$simcse" "${resume[@]}" "$1"; else "$simcse" "${scored[@]}" "$1"; fi; }
# duration COMMAND…: its milliseconds.
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
tried() { # OUTCOME WHAT
  all=$((all + 1))
  if [[ $1 == good ]]; then good=$((good + 1)); else echo "$2: $1: $(tail -n 1 log)"; fi
}
# ended STATUS DIR: whether that is a right end, and the run goes on to the same weights.
ended() {
  [[ $1 == 130 || $1 == 0 ]] || { echo "status $1" && return; }
  go_on "$2" >log2 2>&1 || { echo stuck && return; }
  [[ $(weights "$2") == "$expected" ]] && echo good || echo wrong
}
# signalled SIGNAL FROM TO COMMAND…: a process that gets the signal at a random moment between these milliseconds; leaves its
# status, or `slow` if it takes more than ten seconds to end, where a step and a save take a few hundredths of one.
signalled() {
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
# encoded STATUS: whether that is a right end of an encoding.
encoded() {
  local outcome=good
  [[ $1 == 130 || $1 == 0 ]] || outcome="status $1"
  [[ ! -e out.npy ]] || cmp -s out.npy whole.npy || outcome="half a file"
  [[ -z $(find . -maxdepth 1 -name '.*.tmp') ]] || outcome="a temporary file"
  echo "$outcome"
}
# fresh_pipe: a pipe with the sentences that stays open.
fresh_pipe() {
  rm -f pipe
  mkfifo pipe
  exec 9<>pipe
  cat sentences.txt >&9
}

# Sentences that take seconds to count the tokens of, which a run does before anything else.
for ((copy = 0; copy < 500; copy++)); do cat sentences.txt; done >many.txt
many=(train many.txt --model model --batch-size 16 --max-seq-length 12 --output-dir out)
begin=$(date +%s%N)
"$simcse" "${many[@]}" >log 2>&1 &
until [[ -s log ]]; do sleep 0.01; done
counting=$((($(date +%s%N) - begin) / 1000000))
kill $! && wait $! || true

# A server of what is fetched that takes a quarter of a second for each file.
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
  echo "signals: skipped those while fetching: no python3"
fi
# fetched STATUS: whether that is a right end, no half of a file has its name, and the rest comes later.
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

# Signals that come sooner may come before the program listens.
soonest=40
for signal in INT TERM; do
  for ((moment = 0; moment < moments; moment++)); do
    rm -rf out
    status=$(signalled $signal $soonest "$milliseconds" "$simcse" "${scored[@]}" out)
    tried "$(ended "$status" out)" "$signal while training"

    rm -f out.npy
    status=$(signalled $signal $soonest "$milliseconds" "$simcse" encode sentences.txt --model model --output out.npy)
    tried "$(encoded "$status")" "$signal while encoding"

    fresh_pipe
    status=$(signalled $signal $soonest "$milliseconds" "$simcse" encode pipe --model model --output out.npy)
    [[ $status == 130 ]] && outcome=$(encoded "$status") || outcome="status $status"
    tried "$outcome" "$signal while encoding from a pipe"

    if [[ $fetching ]]; then
      rm -rf fetched
      status=$(signalled $signal $soonest "$fetching" "${fetch[@]}")
      tried "$(fetched "$status")" "$signal while fetching"
    fi
  done
  for ((moment = 0; moment < (moments + 4) / 5; moment++)); do
    rm -rf out
    status=$(signalled $signal $((counting * 3 / 10)) $((counting * 8 / 10)) "$simcse" "${many[@]}")
    outcome=good
    [[ $status == 130 && ! -s log && ! -e out ]] || outcome="status $status"
    tried "$outcome" "$signal while tokenising"
  done
done

# Exactly where it loads and where it saves; twice: the second signal comes with the next call.
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
  echo "signals: skipped those at chosen calls: no strace that may trace here"
fi
verdict signals "$good" "$all" "signals ended a command with status 130 or after its end, and cost nothing"
