#!/usr/bin/env python3
"""Does training here give the same result as training with sentence-transformers? Print Markdown
tables, and fail if it does not.

    training_equality.py curves SENTENCES.txt|TRIPLETS.csv MODEL_DIR...
        without dropout and with the same batches, each step's losses agree to within 1e-3
    training_equality.py seeds SENTENCES.txt MODEL_DIR --rerank DEV.jsonl --sts DEV.csv --out DIR
        with dropout and shuffling, which the two systems draw differently: the mean MAP and
        Spearman of the final models (`simcse eval`) over three seeds differ by no more than the
        seeds of one system do; models already in DIR are not trained again

Needs what tools/peer/train.py and tools/generate/goldens.py need, and target/debug/simcse.
"""

import argparse
import csv
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean

import numpy as np

PEER = Path(__file__).resolve().parent
ROOT = PEER.parents[1]
SIMCSE = ROOT / "target" / "debug" / "simcse"
BOUND = 1e-3


def shuffled(n, seed, epoch=0):
    """Return the order of an epoch's sentences, as simcse-train's batches draw it."""
    sys.path.append(str(ROOT / "tools" / "generate"))
    from goldens import philox

    low, high, *_ = philox([np.arange(n), 0, epoch, 0xFFFFFFFF], seed)
    order = list(range(n))
    for last in range(n - 1, 0, -1):
        chosen = (int(high[last]) << 32 | int(low[last])) * (last + 1) >> 64
        order[last], order[chosen] = order[chosen], order[last]
    return order


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stderr}")
    return done.stdout


def train_here(sentences, model, out, args, seed, *more):
    run(SIMCSE, "train", sentences, "--model", model, "--output-dir", out, "--batch-size", args.batch_size,
        "--max-steps", args.steps, "--batch-sampler", "batch", "--seed", seed, "--threads", args.threads, *more)
    lines = [json.loads(line) for line in open(out / "metrics.jsonl", encoding="utf8")]
    return [line["loss"] for line in lines if "loss" in line]


def train_there(sentences, model, args, seed, losses, *more):
    run(sys.executable, PEER / "train.py", model, sentences, "--batch-size", args.batch_size, "--steps", args.steps,
        "--seed", seed, "--threads", args.threads, "--losses", losses, *more)
    return [float(line) for line in open(losses, encoding="utf8")]


def examples(path):
    """Return the header of a table, or nothing, and the examples as lines of text, as both systems read them."""
    if path.suffix != ".csv":
        lines = [line.strip() for line in open(path, encoding="utf8")]
        return "", [line + "\n" for line in lines if len(line) >= 10]

    def line(row):
        text = io.StringIO()
        csv.writer(text).writerow(row)
        return text.getvalue()

    with open(path, encoding="utf8", newline="") as file:
        header, *rows = csv.reader(file)
    return line(header), [line(row) for row in rows if all(text.strip() for text in row)]


def curves(args):
    header, lines = examples(args.sentences)
    print("| model | loss of the first step | loss of the last step, here | sentence-transformers | largest difference |\n"
          "|---|---|---|---|---|")
    worst = 0.0
    for model in args.models:
        with tempfile.TemporaryDirectory() as work:
            work = Path(work)
            in_order = (work / "in_order").with_suffix(args.sentences.suffix)
            batches = [lines[i] for i in shuffled(len(lines), args.seed)[: args.steps * args.batch_size]]
            in_order.write_text(header + "".join(batches), encoding="utf8")
            here = train_here(args.sentences, model, work / "here", args, args.seed,
                              "--hidden-dropout", 0, "--attention-dropout", 0)
            there = train_there(in_order, model, args, args.seed, work / "losses", "--in-order", "--no-dropout")
        counts = f"expected {args.steps} losses, found {len(here)} here and {len(there)} there"
        assert len(here) == len(there) == args.steps, counts
        difference = max(abs(a - b) for a, b in zip(here, there))
        print(f"| {model.name} | {here[0]:.6f} | {here[-1]:.6f} | {there[-1]:.6f} | {difference:.1e} |", flush=True)
        worst = max(worst, difference)
    return worst <= BOUND


def figure(name, task, model, data):
    return json.loads(run(SIMCSE, "eval", task, "--model", model, "--data", data, "--json").splitlines()[-1])[name]


def seeds(args):
    [model] = args.models
    args.out.mkdir(parents=True, exist_ok=True)
    figures = {"here": [], "there": []}
    print("| trained by | seed | MAP | Spearman |\n|---|---|---|---|")
    for seed in range(1, args.seeds + 1):
        here, there = args.out / f"ours-{seed}", args.out / f"peer-{seed}"
        if not (here / "modules.json").exists():
            train_here(args.sentences, model, here, args, seed)
        if not (there / "modules.json").exists():
            train_there(args.sentences, model, args, seed, args.out / f"peer-{seed}.losses", "--save", there)
        for place, directory in [("here", here), ("there", there)]:
            pair = figure("map", "askubuntu", directory, args.rerank), figure("spearman_cosine", "sts", directory, args.sts)
            figures[place].append(pair)
            print(f"| {place} | {seed} | {pair[0]:.4f} | {pair[1]:.4f} |", flush=True)
    agrees = True
    for number, name in enumerate(["MAP", "Spearman"]):
        here, there = ([pair[number] for pair in figures[place]] for place in ["here", "there"])
        spread = max(max(values) - min(values) for values in (here, there))
        difference = mean(here) - mean(there)
        print(f"\n{name}: mean {mean(here):.4f} here, {mean(there):.4f} there, difference {difference:+.4f}; "
              f"the largest difference between two seeds of one system is {spread:.4f}")
        agrees &= abs(difference) <= spread
    return agrees


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=["curves", "seeds"])
    parser.add_argument("sentences", type=Path)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--rerank", type=Path)
    parser.add_argument("--sts", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=42, help="of `curves`")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    args.steps = args.steps or {"curves": 50, "seeds": 100}[args.what]
    sys.exit(not {"curves": curves, "seeds": seeds}[args.what](args))


if __name__ == "__main__":
    main()
