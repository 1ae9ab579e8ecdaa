"""Compare `simcse eval` with sentence-transformers, SciPy and scikit-learn on real data: SentEval's
STS sets, retrieval, triplets, pairs and labels. Prints a line for each figure and fails if one
differs by more than 1e-4.

    evaluation.py SIMCSE MODEL_DIR --sts DIR --retrieval DIR [--documents N] --triplets FILE.csv

--sts is a directory with the folders STS12-en-test and so on; tasks that it lacks are skipped.
--retrieval is in BEIR's layout; with --documents, its relevant documents and as many others as make
N are used. --triplets has columns sent0, sent1 and hard_neg: its first rows are the triplets and the
pairs. Labels are which of the STS sets a sentence is from.

Needs sentence-transformers 6, scipy and scikit-learn.
"""
import argparse
import csv
import json
import os
import subprocess
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import numpy as np
from scipy.stats import spearmanr
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import (
    InformationRetrievalEvaluator,
    TranslationEvaluator,
    TripletEvaluator,
)
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

TOLERANCE = 1e-4
ROWS = 300  # of the triplets and pairs, and texts with a label
SUBSETS = {
    "sts12": ["MSRpar", "MSRvid", "SMTeuroparl", "surprise.OnWN", "surprise.SMTnews"],
    "sts13": ["FNWN", "headlines", "OnWN"],
    "sts14": ["deft-forum", "deft-news", "headlines", "images", "OnWN", "tweet-news"],
    "sts15": ["answers-forums", "answers-students", "belief", "headlines", "images"],
    "sts16": ["answer-answer", "headlines", "plagiarism", "postediting", "question-question"],
}

parser = argparse.ArgumentParser()
parser.add_argument("simcse")
parser.add_argument("model")
parser.add_argument("--sts", required=True, type=Path)
parser.add_argument("--retrieval", required=True, type=Path)
parser.add_argument("--documents", type=int)
parser.add_argument("--triplets", required=True, type=Path)
args = parser.parse_args()
model = SentenceTransformer(args.model, device="cpu")
worst = 0.0


def ours(kind, data, *options):
    command = [args.simcse, "eval", kind, "--model", args.model, "--data", str(data), "--json",
               "--no-baselines", *options]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def compare(what, found, expected):
    global worst
    for name, value in expected.items():
        difference = abs(found[name] - value)
        worst = max(worst, difference)
        print(f"{what} {name}: {found[name]:.6f} here, {value:.6f} by the peer", flush=True)


def subset(task, name):
    """Return the sentences and gold scores as SentEval reads them."""
    folder = args.sts / f"{task.upper()}-en-test"
    rows = (folder / f"STS.input.{name}.txt").read_text(encoding="utf8").splitlines()
    gold = (folder / f"STS.gs.{name}.txt").read_text(encoding="utf8").splitlines()
    kept = [(row.split("\t"), score) for row, score in zip(rows, gold, strict=True) if score]
    left, right = ([" ".join(sentences[side].split()) for sentences, _ in kept] for side in (0, 1))
    return left, right, [float(score) for _, score in kept]


def cosine(rows, a, b):
    """SMTeuroparl has 65 pairs of equal sentences among 459. Their cosines are 1 but for rounding, which
    differs between machines and would rank them."""
    return 1.0 if a == b else rows[a] @ rows[b]


def senteval():
    tasks = [task for task in SUBSETS if (args.sts / f"{task.upper()}-en-test").is_dir()]
    subsets = {(task, name): subset(task, name) for task in tasks for name in SUBSETS[task]}
    texts = list(dict.fromkeys(text for left, right, _ in subsets.values() for text in left + right))
    rows = dict(zip(texts, model.encode(texts, normalize_embeddings=True)))
    expected = {"all": {}, "wmean": {}}
    for task in tasks:
        found = [subsets[task, name] for name in SUBSETS[task]]
        similarities = [[cosine(rows, a, b) for a, b in zip(left, right)] for left, right, _ in found]
        scores = [gold for _, _, gold in found]
        each = [spearmanr(*pair)[0] for pair in zip(similarities, scores)]
        expected["all"][task] = spearmanr(np.concatenate(similarities), np.concatenate(scores))[0]
        expected["wmean"][task] = np.average(each, weights=list(map(len, scores)))
    for aggregation, figures in expected.items():
        figures["average"] = np.mean(list(figures.values()))
        compare(f"senteval, {aggregation},", ours("senteval", args.sts, "--aggregation", aggregation), figures)


def retrieval(work):
    lines = lambda name: (args.retrieval / name).read_text(encoding="utf8").splitlines()
    corpus = {entry["_id"]: entry for entry in map(json.loads, lines("corpus.jsonl"))}
    relevant = {}
    for line in lines("qrels/test.tsv")[1:]:
        query, document, score = line.split("\t")
        if int(score) > 0:
            relevant.setdefault(query, set()).add(document)
    directory = args.retrieval
    if args.documents:
        judged = set().union(*relevant.values())
        others = [document for document in corpus if document not in judged]
        kept = judged | set(others[: max(0, args.documents - len(judged))])
        corpus = {document: entry for document, entry in corpus.items() if document in kept}
        directory = work / "retrieval"
        (directory / "qrels").mkdir(parents=True)
        text = "".join(json.dumps(entry) + "\n" for entry in corpus.values())
        (directory / "corpus.jsonl").write_text(text, encoding="utf8")
        for name in ["queries.jsonl", "qrels/test.tsv"]:
            (directory / name).symlink_to((args.retrieval / name).resolve())
    queries = {entry["_id"]: entry["text"] for entry in map(json.loads, lines("queries.jsonl"))}
    texts = {document: f"{entry.get('title', '')} {entry['text']}".strip() for document, entry in corpus.items()}
    found = InformationRetrievalEvaluator(queries, texts, relevant, mrr_at_k=[10], ndcg_at_k=[10], map_at_k=[100],
                                          precision_recall_at_k=[100], write_csv=False)(model)
    names = ["map@100", "mrr@10", "ndcg@10", "recall@100"]
    print(f"retrieval: {len(queries)} queries, {len(texts)} documents")
    compare("retrieval", ours("retrieval", directory), {name: found[f"cosine_{name}"] for name in names})


def rows(work):
    with open(args.triplets, encoding="utf8", newline="") as file:
        found = [row for _, row in zip(range(ROWS), csv.DictReader(file))]
    columns = {name: [row[name] for row in found] for name in ["sent0", "sent1", "hard_neg"]}
    path = work / "triplets.csv"
    with open(path, "w", encoding="utf8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(found)
    expected = TripletEvaluator(*columns.values(), write_csv=False)(model)
    compare("triplets", ours("triplets", path), expected)
    expected = TranslationEvaluator(columns["sent0"], columns["sent1"], write_csv=False)(model)
    compare("pairs", ours("pairs", path), expected)


def labels(work):
    texts, names = [], []
    for task in ["sts12", "sts13", "sts14"]:
        subsets = SUBSETS[task]
        for name in subsets[:2]:
            left, _, _ = subset(task, name)
            distinct = list(dict.fromkeys(left))[: ROWS // 6]
            texts += distinct
            names += [f"{task} {name}"] * len(distinct)
    path = work / "labels.jsonl"
    path.write_text("".join(json.dumps({"text": t, "label": n}) + "\n" for t, n in zip(texts, names)), encoding="utf8")
    embeddings = model.encode(texts)
    predicted = cross_val_predict(KNeighborsClassifier(10, metric="cosine"), embeddings, names, cv=LeaveOneOut())
    expected = {"accuracy": accuracy_score(names, predicted), "macro_f1": f1_score(names, predicted, average="macro")}
    compare("labels", ours("labels", path), expected)


with tempfile.TemporaryDirectory() as directory:
    senteval()
    retrieval(Path(directory))
    rows(Path(directory))
    labels(Path(directory))
print(f"largest difference {worst:.1e}")
assert worst <= TOLERANCE, "the figures differ"
