#!/usr/bin/env python3
"""Do published variants of unsupervised SimCSE help? The measurement behind docs/variants.md.

    python3 tools/measure/variants.py OUT SENTENCES MODEL [TRAIN_FLAG...] SET...

Trains MODEL, a directory or a name, on SENTENCES without any variant (`plain`) and with each variant
at its published setting, with five seeds, and scores the final model on each SET, which is
--eval-rerank=FILE, --eval-sts=FILE or --eval-retrieval=NAME=DIR, as in `simcse train`. Flags have the
form --flag=value and go to every run; they replace those of SETTINGS. Each run's metrics.jsonl is kept
in OUT, where runs that are there already are not repeated; use another OUT for other settings.

Prints, for each figure, the model before training, and for each variant the mean and the standard
deviation over seeds and the difference to plain of the same seed, with its 95% t interval. Seven
variants are compared with plain, so one interval in twenty without 0 means nothing.

Needs numpy, scipy and target/debug/simcse. Environment: SEEDS (1 2 3 4 5), VARIANTS (all; a part
of their names).
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from scipy.stats import t

SETTINGS = "--precision auto --batch-size 64 --max-steps 288 --save-steps 100000".split()
FOUR_DIRECTIONS = "query_to_doc,doc_to_query,query_to_query,doc_to_doc"
VARIANTS = {
    "plain": "",
    "word repetition (ESimCSE)": "--dup-rate 0.32",
    "word deletion (SimCSE)": "--word-deletion 0.1",
    "off-dropout (SimCSE++)": "--off-dropout --pos-ratio 0.9",
    "Focal-InfoNCE": "--focal-m 0.3",
    "GS-InfoNCE": "--noise-negatives BATCH_SIZE",
    "four directions": f"--directions {FOUR_DIRECTIONS}",
    "template (PromptBERT)": "--template 'This sentence : \"[X]\" means [MASK]' --pooling lasttoken",
}
# The main figure of each kind of set, as metrics.jsonl names it after the set's own name.
FIGURES = ["map", "spearman_cosine", "ndcg@10"]


def train(out, name, sentences, model, flags, seed):
    """The figures before and after training, by name."""
    kept = out / f"{name.split(' (')[0].replace(' ', '-').lower()}-{seed}.jsonl"
    if not kept.exists():
        run = out / "run"
        shutil.rmtree(run, ignore_errors=True)
        command = ["target/debug/simcse", "train", sentences, "--model", model, *flags, "--seed", str(seed),
                   *shlex.split(VARIANTS[name].replace("BATCH_SIZE", batch_size(flags))), "--output-dir", str(run)]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        shutil.copy(run / "metrics.jsonl", kept)
        shutil.rmtree(run)
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    evaluations = [line for line in lines if any(key.startswith("eval_") for key in line)]
    return evaluations[0], evaluations[-1]


def batch_size(flags):
    """The batch size of a run, by which GS-InfoNCE counts its noise."""
    given = [flag.split("=")[1] for flag in flags if flag.startswith("--batch-size=")]
    return given[-1] if given else flags[flags.index("--batch-size") + 1]


def flags_of(arguments):
    """The default settings, without those that the arguments set."""
    given = {argument.split("=")[0] for argument in arguments}
    pairs = zip(SETTINGS[::2], SETTINGS[1::2])
    return [word for flag, value in pairs if flag not in given for word in (flag, value)] + arguments


def main():
    out, sentences, model, *arguments = sys.argv[1:]
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    seeds = [int(seed) for seed in os.environ.get("SEEDS", "1 2 3 4 5").split()]
    names = [name for name in VARIANTS if name == "plain" or os.environ.get("VARIANTS", name) in name]
    flags = flags_of(arguments)
    runs = {name: [train(out, name, sentences, model, flags, seed) for seed in seeds] for name in names}
    before = runs["plain"][0][0]
    shown = [key for key in before if key.startswith("eval_") and key.split("_", 1)[1].endswith(tuple(FIGURES))]
    print("| figure | variant | mean | standard deviation | less plain |\n|---|---|---|---|---|")
    for key in shown:
        print(f"| {key[5:]} | before training | {before[key]:.4f} | | |")
        plain = np.array([after[key] for _, after in runs["plain"]])
        for name in names:
            values = np.array([after[key] for _, after in runs[name]])
            difference = ""
            if name != "plain" and len(seeds) > 1:
                gain = values - plain
                half = t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / np.sqrt(len(gain))
                difference = f"{gain.mean():+.4f} ± {half:.4f}"
            spread = f"{values.std(ddof=1):.4f}" if len(seeds) > 1 else ""
            print(f"| {key[5:]} | {name} | {values.mean():.4f} | {spread} | {difference} |")


if __name__ == "__main__":
    main()
