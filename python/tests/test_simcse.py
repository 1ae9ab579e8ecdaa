"""The module next to NumPy and sentence-transformers, and the command that the wheel brings.

    MODEL=…/all-MiniLM-L6-v2 pytest
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import simcse

MODEL = os.environ["MODEL"]
SENTENCES = ["no sound after the update", "the speakers are silent since I upgraded", "", "how to mount a usb stick", "日本語の文"]


@pytest.fixture(scope="module")
def model():
    return simcse.Model(MODEL)


def test_embeddings_are_those_of_sentence_transformers(model):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    expected = sentence_transformers.SentenceTransformer(MODEL, device="cpu").encode(SENTENCES)
    found = model.encode(SENTENCES)
    assert found.dtype == np.float32 and found.shape == (len(SENTENCES), model.dimension)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    np.testing.assert_array_equal(model.encode(SENTENCES[0]), found[0])
    unit = model.encode(SENTENCES, normalize=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    prompted = model.encode(["usb stick"], prompt="how to mount a ")
    np.testing.assert_array_equal(prompted[0], model.encode("how to mount a usb stick"))
    assert model.encode([]).shape == (0, model.dimension)


def test_search_is_that_of_numpy():
    random = np.random.default_rng(1)
    corpus = random.normal(size=(500, 24)).astype(np.float32)
    queries = random.normal(size=(7, 24)).astype(np.float32)
    scores, rows = simcse.search(queries, corpus, k=5)
    unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = unit(queries) @ unit(corpus).T
    expected = np.argsort(-cosines, axis=1)[:, :5]
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_allclose(scores, np.take_along_axis(cosines, expected, 1), atol=1e-6)
    assert simcse.search(queries, corpus[:3], k=5)[1].shape == (7, 3)
    assert simcse.search(queries, np.asfortranarray(corpus), k=1)[1].tolist() == rows[:, :1].tolist()


def test_an_index_finds_what_the_command_finds(model, tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"id": f"n{i}", "text": text}) + "\n" for i, text in enumerate(SENTENCES)))
    run = lambda *arguments: subprocess.run(["simcse", *arguments], check=True, capture_output=True, text=True, cwd=tmp_path)
    run("index", str(corpus), "--model", MODEL, "--output", "index")
    index = simcse.Index(tmp_path / "index")
    assert (len(index), index.dimension, index.model) == (len(SENTENCES), model.dimension, MODEL)
    scores, rows = index.search(model.encode(["silent speakers"]), k=3)
    found = json.loads(run("search", "--index", "index", "--query", "silent speakers", "-k", "3", "--json").stdout)
    assert [index.record(row) for row in rows[0]] == [{"text": hit["text"], "id": hit["id"]} for hit in found]
    np.testing.assert_allclose(scores[0], [hit["score"] for hit in found], atol=1e-6)
    assert index.text(1) == SENTENCES[1]
    with pytest.raises(IndexError):
        index.text(len(SENTENCES))


def test_training_writes_what_sentence_transformers_loads(tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    steps = []
    texts = [f"question number {i} about topic {i % 7}" for i in range(40)]
    figures = simcse.train(texts, model=MODEL, output_dir=tmp_path / "out", on_step=lambda *step: steps.append(step),
                           batch_size=8, epochs=1, learning_rate=2e-5, max_seq_length=16)
    assert figures["steps"] == 5 and [step for step, *_ in steps] == [1, 2, 3, 4, 5]
    assert all(total == 5 and loss > 0 for _, total, loss in steps)
    tuned = simcse.Model(tmp_path / "out")
    expected = sentence_transformers.SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(texts)
    np.testing.assert_allclose(tuned.encode(texts), expected, atol=2e-6)
    pairs = simcse.train([(text, text.upper()) for text in texts], model=MODEL, output_dir=tmp_path / "pairs",
                         batch_size=8, max_steps=2)
    assert pairs["steps"] == 2


def test_errors_are_exceptions_with_the_librarys_words(model, tmp_path):
    for call, message in [
        (lambda: simcse.Model("./none"), "no model directory"),
        (lambda: simcse.Model(MODEL, precision="f8"), "expected"),
        (lambda: model.encode(["a"], prompt_name="none"), "none"),
        (lambda: simcse.search(np.zeros((1, 3), "f"), np.zeros((2, 4), "f")), "expected 4 columns"),
        (lambda: simcse.search(np.full((1, 4), np.nan, "f"), np.zeros((2, 4), "f")), "queries: expected finite values"),
        (lambda: simcse.Index(tmp_path), "index"),
        (lambda: simcse.train(["a", "b"], model=MODEL, output_dir=tmp_path / "o", batch_size=1), "--batch-size"),
        (lambda: simcse.train(["a", "b"], model=MODEL, output_dir=tmp_path / "o", none=1), "none"),
        (lambda: simcse.train([("a", "b"), ("c",)], model=MODEL, output_dir=tmp_path / "o"), "examples, row 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError):
        model.encode([1, 2])

    def fail(step, total, loss):
        raise KeyError(step)

    with pytest.raises(KeyError):
        simcse.train([f"sentence {i}" for i in range(16)], model=MODEL, output_dir=tmp_path / "o", on_step=fail, batch_size=4)
    assert (tmp_path / "o" / "checkpoint-1").is_dir()


def test_other_threads_run_while_rust_computes(model):
    ticks, done = [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    started = time.perf_counter()
    model.encode([f"sentence number {i} that is not very short" for i in range(512)])
    seconds = time.perf_counter() - started
    done.set()
    thread.join()
    gaps = np.diff([started, *[tick for tick in ticks if tick >= started]])
    assert gaps.max() < 0.5 * seconds, (gaps.max(), seconds)


def test_ctrl_c_ends_encoding():
    program = (
        "import os, signal, threading, simcse\n"
        # What a shell starts in the background ignores Ctrl-C, and so would Python.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"model = simcse.Model({MODEL!r})\n"
        "threading.Timer(1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
        "model.encode(['some words that make a sentence ' * 10] * 100_000)\n"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert process.returncode != 0 and "KeyboardInterrupt" in process.stderr, process.stderr
    assert process.returncode in (1, 130, -signal.SIGINT)


def test_the_wheel_brings_the_command():
    version = subprocess.run(["simcse", "--version"], check=True, capture_output=True, text=True).stdout
    assert version.strip() == f"simcse {simcse.__version__}"
