"""Compares `simcse search`, `paraphrases`, `cluster` and `mine` with sentence-transformers.

    search.py PROGRAM MODEL CORPUS QUERIES

CORPUS and QUERIES have one text per line. For each query, the scores of the best rows must be those of
`util.semantic_search` to 1e-5, and the rows the same wherever scores differ by more. Pairs are compared with
`util.paraphrase_mining_embeddings`, groups with `util.community_detection`,
hard negatives for pairs of a query and the row with its number with `util.mine_hard_negatives`.
"""

import json
import subprocess
import sys
import tempfile

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer, util

TOLERANCE = 1e-5


def run(*arguments):
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file]


def same_order(ours, theirs):
    """Whether two lists of (row, score) have the same scores, and the same rows but for near ties."""
    assert len(ours) == len(theirs), (len(ours), len(theirs))
    worst = 0.0
    for (row, score), (other, expected) in zip(ours, theirs):
        worst = max(worst, abs(score - expected))
    scores = dict(theirs)
    last = theirs[-1][1] if theirs else 0.0
    for row, score in ours:
        if row not in scores:
            assert abs(score - last) <= TOLERANCE, f"row {row} with {score} is not among the best"
    assert worst <= TOLERANCE, worst
    return worst


def main():
    program, model_dir, corpus_file, queries_file = sys.argv[1:]
    corpus, queries = lines(corpus_file), lines(queries_file)
    model = SentenceTransformer(model_dir, device="cpu")
    embeddings = model.encode(corpus, convert_to_tensor=True, batch_size=64)
    of_queries = model.encode(queries, convert_to_tensor=True, batch_size=64)
    expected = util.semantic_search(of_queries, embeddings, top_k=10)
    exact = [{hit["corpus_id"] for hit in hits} for hits in expected]
    with tempfile.TemporaryDirectory() as directory:
        for storage in ["f32", "f16", "int8"]:
            index = f"{directory}/{storage}"
            run(program, "index", corpus_file, "--model", model_dir, "--output", index, "--storage", storage)
            found = run(program, "search", "--index", index, "--queries", queries_file, "--json").splitlines()
            hits = [[(hit["id"], hit["score"]) for hit in json.loads(line)] for line in found]
            recall = sum(len({row for row, _ in ours} & rows) for ours, rows in zip(hits, exact)) / (10 * len(exact))
            if storage == "f32":
                theirs = [[(hit["corpus_id"], hit["score"]) for hit in hits] for hits in expected]
                worst = max(same_order(a, b) for a, b in zip(hits, theirs))
                alone = run(program, "search", "--index", index, "--query", queries[0], "--json")
                same_order([(hit["id"], hit["score"]) for hit in json.loads(alone)], theirs[0])
                print(f"search: {len(queries)} queries, {len(corpus)} rows: scores differ by {worst:.1e}")
            print(f"recall@10 of {storage}: {recall:.4f}")

        index = f"{directory}/f32"
        found = run(program, "paraphrases", "--index", index, "--threshold", "0.7", "--max-pairs", "500", "--json")
        ours = [(tuple(pair["rows"]), pair["score"]) for pair in map(json.loads, found.splitlines())]
        mined = util.paraphrase_mining_embeddings(embeddings, top_k=len(corpus), max_pairs=10**7)
        theirs = [((min(i, j), max(i, j)), score) for score, i, j in mined if score >= 0.7][: len(ours)]
        print(f"paraphrases: {len(ours)} pairs: scores differ by {same_order(ours, theirs):.1e}")

        found = run(program, "cluster", "--index", index, "--threshold", "0.7", "--min-size", "3", "--json")
        ours = [json.loads(line)["rows"] for line in found.splitlines()]
        theirs = util.community_detection(embeddings, threshold=0.7, min_community_size=3)
        same = sum(sorted(a) == sorted(b) for a, b in zip(ours, theirs))
        assert len(ours) == len(theirs) and same == len(ours), (len(ours), len(theirs), same)
        print(f"cluster: {len(ours)} groups, all the same")

        with open(f"{directory}/pairs.jsonl", "w", encoding="utf-8") as file:
            for pair in zip(queries, corpus):
                file.write(json.dumps(dict(zip(["anchor", "positive"], pair))) + "\n")
        run(program, "mine", f"{directory}/pairs.jsonl", "--corpus", corpus_file, "--model", model_dir, "--range-min", "1",
            "--max-score", "0.6", "--scores", "--output", f"{directory}/triplets.jsonl")
        ours = [json.loads(line) for line in lines(f"{directory}/triplets.jsonl")]
        pairs = Dataset.from_dict({"anchor": queries, "positive": corpus[: len(queries)]})
        theirs = util.mine_hard_negatives(pairs, model, corpus=corpus, range_min=1, max_score=0.6, output_scores=True,
                                          verbose=False)
        assert len(ours) == len(theirs) > len(queries), (len(ours), len(theirs))
        worst = 0.0
        for found, expected in zip(ours, theirs):
            difference = max(abs(found[f"{name}_score"] - score)
                             for name, score in zip(["positive", "negative"], expected["scores"]))
            worst = max(worst, difference)
            assert all(found[name] == expected[name] for name in ["anchor", "positive"]), (found, expected)
        assert worst <= TOLERANCE, worst
        same = sum(found["negative"] == expected["negative"] for found, expected in zip(ours, theirs))
        assert same >= 0.99 * len(ours), same  # the others are ties but for rounding
        print(f"mine: {same} of {len(ours)} triplets are the same, scores differ by {worst:.1e}")


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
