#!/usr/bin/env python3
"""Compare TensorBoard's event files with metrics.jsonl, as TensorBoard itself reads them.

    tensorboard_files.py SIMCSE OUT

Needs the package tensorboard. Trains for a few steps with `SIMCSE train --report-to all` into OUT,
once to the end and once from a checkpoint in the middle, and requires each time that TensorBoard's
EventAccumulator has every figure of metrics.jsonl once, in order, and every warning; that
`--logdir OUT` shows each run under the name of its directory; and that metrics.csv agrees.
"""
import csv
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing import event_accumulator, plugin_event_multiplexer

EVERYTHING = {event_accumulator.SCALARS: 0, event_accumulator.TENSORS: 0}


def check(condition, what):
    if not condition:
        sys.exit(f"tensorboard_files.py: {what}")


def single(line):
    """The single values of a line; of an interval, both ends."""
    for name, value in line.items():
        if isinstance(value, list):
            yield from zip((f"{name}_low", f"{name}_high"), value)
        else:
            yield name, value


def tag(name):
    """As transformers' rewrite_logs; figures of the probe have a group of their own."""
    for group in ["eval", "test", "probe"]:
        if name.startswith(f"{group}_"):
            return f"{group}/{name[len(group) + 1:]}"
    return f"train/{name}"


def expected(lines):
    scalars, warnings = {}, []
    for line in lines:
        if "warning" in line:
            warnings.append((line["step"], f"**{line['warning']}**: {line['text']}"))
            continue
        for name, value in single(line):
            if name == "step" or (name == "epoch" and "loss" not in line) or (value is None and name.endswith("_interval")):
                continue
            value = math.nan if value is None else float(np.float32(value))
            scalars.setdefault(tag(name), []).append((line["step"], value))
    return scalars, warnings


def compare(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").open()]
    board = event_accumulator.EventAccumulator(str(run), size_guidance=EVERYTHING)
    board.Reload()
    scalars, warnings = expected(lines)
    found = {name: [(event.step, event.value) for event in board.Scalars(name)] for name in board.Tags()["scalars"]}
    check(found.keys() == scalars.keys(), f"{run}: figures {sorted(found.keys() ^ scalars.keys())}")
    for name, values in scalars.items():
        same = len(values) == len(found[name]) and all(
            a == b or (a[0] == b[0] and math.isnan(a[1]) and math.isnan(b[1])) for a, b in zip(values, found[name])
        )
        check(same, f"{run}: {name}: expected {values}, found {found[name]}")
    texts = [(e.step, e.tensor_proto.string_val[0].decode()) for e in board.Tensors("warnings/text_summary")]
    check(warnings and texts == warnings, f"{run}: warnings: expected {warnings}, found {texts}")
    check(b"[settings]" in board.Tensors("args/text_summary")[-1].tensor_proto.string_val[0], f"{run}: no settings")

    rows = list(csv.DictReader((run / "metrics.csv").open(newline="")))
    check(len(rows) == len(lines), f"{run}: {len(rows)} rows of metrics.csv, {len(lines)} lines")
    for row, line in zip(rows, lines):
        cells = {name: cell for name, cell in row.items() if cell}
        values = {name: value for name, value in single(line) if value is not None}
        check(cells.keys() == values.keys(), f"{run}: {cells} is not {line}")
        for name, value in values.items():
            same = cells[name] == value if isinstance(value, str) else float(json.loads(cells[name])) == float(value)
            check(same, f"{run}: {name} is {cells[name]} in metrics.csv, {value} in metrics.jsonl")
    return sum(map(len, scalars.values())), len(lines)


def main():
    simcse, out = sys.argv[1], Path(sys.argv[2])

    def run(*arguments):
        subprocess.run([simcse, "train", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    whole = out / "whole"
    run("--max-steps", "12", "--save-steps", "4", "--eval-steps", "4", "--logging-steps", "3", "--report-to", "all",
        "--warmup-ratio", "1", "--hidden-dropout", "0", "--attention-dropout", "0", "--output-dir", str(whole))
    print("a run: %d figures of %d lines, as in metrics.jsonl" % compare(whole))
    resumed = out / "resumed"
    shutil.copytree(whole, resumed)
    for later in ["checkpoint-8", "checkpoint-12"]:
        shutil.rmtree(resumed / later)
    run("--resume-from-checkpoint", "auto", "--max-steps", "14", "--output-dir", str(resumed))
    check(len(list(resumed.glob("events.out.tfevents.*"))) == 2, "a resumed run has no event file of its own")
    print("resumed from step 4 of 12, up to 14: %d figures of %d lines" % compare(resumed))
    runs = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(str(out)).Reload().Runs()
    check(set(runs) == {"whole", "resumed"}, f"TensorBoard shows the runs {sorted(runs)}")


if __name__ == "__main__":
    main()
