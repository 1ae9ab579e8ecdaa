#!/usr/bin/env python3
"""Does a figure without labels choose a good checkpoint? The table in docs/evaluation.md.

    python3 tools/measure/unlabeled.py OUT SENTENCES RERANK STS NAME=MODEL,LEARNING_RATE...

Trains each model with five seeds (288 steps of 64 sentences, 512 held out, an evaluation every 36
steps) and keeps each run's metrics.jsonl in OUT, where runs that are there already are not repeated.
Then prints, for each figure of the held-out sentences and each labeled figure: the mean Spearman
correlation of the two over a run's evaluations, the regret (how far the labeled figure of the
evaluation that is chosen lies below the best one), and the difference from the regret of the last
evaluation with its 95% t interval over seeds. The model before training is not a candidate.

Needs numpy, scipy and target/debug/simcse.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr, t

SEEDS = range(1, 6)
SETTINGS = "--precision auto --hold-out 512 --batch-size 64 --max-steps 288 --eval-steps 36 --save-steps 100000".split()
LABELED = {"MAP": "eval_map", "Spearman": "eval_spearman_cosine"}
# Whether a higher value (1) or a lower one (-1) is better.
SIGNS = {"alignment": -1, "uniformity": -1, "mean_cosine": -1, "dropout_accuracy": 1, "corruption_mrr": 1}


def train(out, name, model, learning_rate, seed, sentences, rerank, sts):
    kept = out / f"{name}-{seed}.jsonl"
    if not kept.exists():
        run = out / "run"
        shutil.rmtree(run, ignore_errors=True)
        command = ["target/debug/simcse", "train", sentences, "--model", model, "--learning-rate", learning_rate,
                   "--seed", str(seed), "--eval-rerank", rerank, "--eval-sts", sts, "--output-dir", str(run), *SETTINGS]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.copy(run / "metrics.jsonl", kept)
        shutil.rmtree(run)
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    return [line for line in lines if "eval_map" in line and line["step"] > 0]


def standardized(values):
    spread = values.std()
    return (values - values.mean()) / spread if spread > 0 else 0.0 * values


def candidates(evaluations):
    """What chooses an evaluation; higher is better."""
    found = {name: sign * np.array([line[f"eval_unlabeled_{name}"] for line in evaluations]) for name, sign in SIGNS.items()}
    found["alignment + uniformity"] = standardized(found["alignment"]) + standardized(found["uniformity"])
    found["sum of all five"] = sum(standardized(found[name]) for name in SIGNS)
    return found | {"the last": np.arange(len(evaluations))}


def table(name, runs):
    for label, key in LABELED.items():
        rows = {}
        for evaluations in runs:
            labeled = np.array([line[key] for line in evaluations])
            for chooser, values in candidates(evaluations).items():
                rho = spearmanr(values, labeled)[0] if values.std() > 0 else 0.0
                rows.setdefault(chooser, []).append((rho, labeled.max() - labeled[values.argmax()]))
        last = np.array(rows["the last"])[:, 1]
        for chooser, values in rows.items():
            rho, regret = np.array(values).T
            gain = regret - last
            half = t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / np.sqrt(len(gain))
            print(f"| {name} | {label} | {chooser} | {rho.mean():+.2f} | {regret.mean():.4f} | {gain.mean():+.4f} ± {half:.4f} |")


def main():
    out, sentences, rerank, sts, *models = sys.argv[1:]
    out = Path(out)
    out.mkdir(exist_ok=True)
    print("| model | figure | chosen by | correlation | regret | less that of the last |\n|---|---|---|---|---|---|")
    for entry in models:
        name, rest = entry.split("=", 1)
        model, learning_rate = rest.rsplit(",", 1)
        table(name, [train(out, name, model, learning_rate, seed, sentences, rerank, sts) for seed in SEEDS])


if __name__ == "__main__":
    main()
