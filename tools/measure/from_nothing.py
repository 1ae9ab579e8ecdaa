#!/usr/bin/env python3
"""From a text file to a search model, with nothing else: what each stage is worth.

    python3 tools/measure/from_nothing.py OUT --sentences FILE... --rerank DEV.jsonl
        [--tune-on FILE...] [--retrieval NAME=DIR...] [--pretrain "FLAGS"] [--train "FLAGS"] [--seeds 5]
        [--peer PYTHON] [--peer-train "FLAGS"]

Pretrains a model on the sentences (`simcse pretrain`), and tunes it with SimCSE on the same sentences,
or on those of --tune-on, with several seeds (`simcse train`); with --peer, sentence-transformers tunes
the same directory, too (tools/peer/train.py with --peer-train). Prints the figures of random weights,
of TF-IDF, BM25 and mean word embeddings (those of the pretrained model), of the pretrained model and of
the tuned ones: mean and standard deviation over seeds, and the time of each stage. If --pretrain has
--word-weights, all of these models weigh tokens, and the figures of the pretrained and the tuned ones
without the weights are printed, too. Runs that are in OUT already are not repeated; one that was
interrupted is resumed.

Needs numpy and target/debug/simcse.
"""

import argparse
import json
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np

SIMCSE = "target/debug/simcse"


def run(command):
    print("$", shlex.join(map(str, command)), flush=True)
    started = time.time()
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return output, time.time() - started


def simcse_run(directory, command):
    """Runs a training command, resumes it, or finds it done. Returns its last line of JSON."""
    done = directory.with_suffix(".json")
    if not done.exists():
        if list(directory.glob("checkpoint-*")):
            command = [command[0], command[1], "--resume-from-checkpoint", "auto"]
        output, seconds = run([*command, "--output-dir", directory, "--json"])
        summary = json.loads(output.splitlines()[-1])
        done.write_text(json.dumps(summary | {"wall_seconds": seconds}) + "\n")
    return json.loads(done.read_text())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--sentences", nargs="+", required=True)
    parser.add_argument("--tune-on", nargs="+")
    parser.add_argument("--rerank", required=True)
    parser.add_argument("--retrieval", nargs="*", default=[])
    parser.add_argument("--pretrain", default="")
    parser.add_argument("--train", default="")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--peer", help="a Python with sentence-transformers")
    parser.add_argument("--peer-train", default="--steps 500")
    args = parser.parse_args()
    args.out.mkdir(exist_ok=True)
    args.tune_on = args.tune_on or args.sentences

    evaluation = ["--eval-rerank", args.rerank]
    for given in args.retrieval:
        evaluation += ["--eval-retrieval", given]
    base = args.out / "base"
    pretrained = simcse_run(
        base, [SIMCSE, "pretrain", *args.sentences, "--hold-out", "500", *evaluation, *shlex.split(args.pretrain)])
    tuned = [
        simcse_run(args.out / f"seed-{seed}", [SIMCSE, "train", *args.tune_on, "--model", base, "--seed", str(seed),
                                               *evaluation, *shlex.split(args.train)])
        for seed in range(1, args.seeds + 1)
    ]
    names = [name for name in pretrained["after"] if name.endswith(("_map", "map@100"))]
    rows = {"random weights": [pretrained["before"]], **baselines(args, base), "pretrained": [pretrained["after"]]}
    rows["pretrained and tuned"] = [summary["after"] for summary in tuned]
    if "--word-weights" in shlex.split(args.pretrain):
        plain = [*evaluation, "--word-weights", "none"]
        rows["pretrained, without word weights"] = [scored(args, base, plain)]
        rows["pretrained and tuned, without word weights"] = [
            scored(args, args.out / f"seed-{seed}", plain) for seed in range(1, args.seeds + 1)]
    if args.peer:
        rows["tuned by sentence-transformers"] = [peer(args, base, seed, evaluation) for seed in range(1, args.seeds + 1)]

    print("\n| | " + " | ".join(name.removeprefix("eval_") for name in names) + " |\n|---|" + "---|" * len(names))
    for label, figures in rows.items():
        values = np.array([[found[name] for name in names] for found in figures])
        spread = values.std(axis=0, ddof=1) if len(values) > 1 else None
        cells = [f"{mean:.4f}" + ("" if spread is None else f" ± {spread[i]:.4f}") for i, mean in enumerate(values.mean(axis=0))]
        print(f"| {label} | " + " | ".join(cells) + " |")
    print(f"\npretraining {pretrained['wall_seconds'] / 60:.0f} minutes, tuning "
          f"{np.mean([summary['wall_seconds'] for summary in tuned]) / 60:.0f} minutes a seed")


def baselines(args, base):
    """The figures of what needs no training, by what it is."""
    sets = {"eval_map": ("rerank", args.rerank)}
    sets |= {f"eval_{name}_map@100": ("retrieval", directory) for name, directory in (given.split("=") for given in args.retrieval)}
    found = {name: json.loads(run([SIMCSE, "eval", kind, "--model", base, "--data", data, "--json"])[0])["baselines"]
             for name, (kind, data) in sets.items()}
    labels = {"tf_idf": "TF-IDF", "bm25": "BM25", "word_embeddings": "mean word embeddings"}
    figure = {name: name.rsplit("_", 1)[1] for name in sets}
    return {label: [{name: found[name][key][figure[name]] for name in sets}] for key, label in labels.items()}


def peer(args, base, seed, evaluation):
    """Tunes the pretrained directory with sentence-transformers, and scores it with this program."""
    directory = args.out / f"peer-{seed}"
    if not (directory / "modules.json").exists():  # it is written at the end
        lines = args.out / "sentences.txt"
        if not lines.exists():
            import gzip
            texts = [line for path in args.tune_on
                     for line in (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf8")]
            lines.write_text("".join(texts), encoding="utf8")
        run([args.peer, "tools/peer/train.py", base, lines, "--seed", str(seed), "--save", directory,
             *shlex.split(args.peer_train)])
    return scored(args, directory, evaluation)


def scored(args, model, flags):
    """The figures of a model: those before a step at a learning rate of next to nothing."""
    done = model.with_suffix(".scored.json")
    if not done.exists():
        out = model.with_suffix(".scored")
        shutil.rmtree(out, ignore_errors=True)
        given = shlex.split(args.train)
        precision = given[given.index("--precision"):][:2] if "--precision" in given else []
        output, _ = run([SIMCSE, "train", *args.tune_on, "--model", model, "--max-steps", "1", "--learning-rate", "1e-30",
                         *precision, *flags, "--output-dir", out, "--json"])
        done.write_text(json.dumps(json.loads(output.splitlines()[-1])["before"]) + "\n")
    return json.loads(done.read_text())


if __name__ == "__main__":
    main()
