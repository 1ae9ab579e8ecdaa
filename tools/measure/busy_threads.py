#!/usr/bin/env python3
"""How many threads of a program work at a time, and what runs while only one does.

    python3 tools/measure/busy_threads.py [--from 0.4] [--to 0.98] -- COMMAND...

Samples the command with perf 4,000 times a second, divides the part of its time from --from to --to
(shares of the whole: without loading, for example) into slots of 2 ms, and counts the threads that
were sampled in each. A thread that waits without working is not sampled.

Needs perf.
"""

import argparse
import collections
import subprocess
import sys
import tempfile

SLOT = 0.002  # seconds: eight samples of a thread that works


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--from", dest="start", type=float, default=0.4)
    parser.add_argument("--to", dest="end", type=float, default=0.98)
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    with tempfile.NamedTemporaryFile() as recorded:
        command = ["perf", "record", "-q", "-F", "4000", "-e", "cpu-clock", "-o", recorded.name, *args.command]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr)
        lines = subprocess.run(["perf", "script", "-i", recorded.name, "-F", "tid,time,ip,sym"], check=True,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.splitlines()
    samples = []
    for line in lines:
        thread, time, _, symbol = (line.split(None, 3) + ["?"])[:4]
        samples.append((float(time.rstrip(":")), thread, symbol))
    first, last = min(samples)[0], max(samples)[0]
    start, end = (first + share * (last - first) for share in (args.start, args.end))
    slots = [[] for _ in range(int((end - start) / SLOT))]
    for time, thread, symbol in samples:
        if start <= time and (slot := int((time - start) / SLOT)) < len(slots):
            slots[slot].append((thread, symbol))

    threads = [{thread for thread, _ in slot} for slot in slots]
    for count, found in sorted(collections.Counter(map(len, threads)).items()):
        print(f"{count} threads at work: {100 * found / len(slots):5.1f}% of the time")
    alone = collections.Counter(symbol for slot, who in zip(slots, threads) if len(who) == 1 for _, symbol in slot)
    print("while one works alone, it is in")
    for symbol, found in alone.most_common(8):
        print(f"{100 * found / alone.total():5.1f}%  {symbol[:100]}")


if __name__ == "__main__":
    main()
