#!/usr/bin/env python3
"""Encoding beside the fast paths of others, in turns: sentence-transformers (as it is, compiled, in
bf16), ONNX Runtime (optimized, and quantized to int8) and OpenVINO (f32, bf16, int8), all from the same
weights.

    encoders.py PROGRAM MODEL_DIR SENTENCES STS.tsv [--count 2000] [--rounds 5] [--threads N]
        --peer PYTHON --onnx PYTHON --openvino PYTHON

tools/peer/encoders.sh sets the environments up and runs this. Each contender is a process that loads
the model once. It tries batches of 8, 32 and 128, and keeps the fastest; then all encode the same
sentences in turns, and after that 50 sentences one at a time. Here that is `simcse encode`, whose time
of loading does not count, and `simcse serve` over HTTP, whose time does.

Prints the processor, and per contender sentences per second (median and range), milliseconds for one
sentence (median), and Spearman's correlation on STS.tsv (STS-B's columns) in points, with what it
loses against f32. Exports and quantized models are kept in OUT, by default next to the environments.
"""

import argparse
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
ONE_AT_A_TIME = 50
BATCH_SIZES = [8, 32, 128]
# Contender: the environment that runs it.
CONTENDERS = {
    "simcse, f32": None,
    "simcse, bf16": None,
    "sentence-transformers, f32": "peer",
    "sentence-transformers, f32, compiled": "peer",
    "sentence-transformers, bf16": "peer",
    "ONNX Runtime, f32": "onnx",
    "ONNX Runtime, int8": "onnx",
    "OpenVINO, f32": "openvino",
    "OpenVINO, bf16": "openvino",
    "OpenVINO, int8": "openvino",
}


# What runs in the environment of a contender: reads commands, one line of JSON each, and answers.


def load(name, model, out, threads, calibration):
    from sentence_transformers import SentenceTransformer

    if name.startswith("sentence-transformers"):
        import torch

        torch.set_num_threads(threads)
        dtype = torch.bfloat16 if "bf16" in name else torch.float32
        loaded = SentenceTransformer(model, device="cpu", model_kwargs={"dtype": dtype, "attn_implementation": "sdpa"})
        if "compiled" in name:
            loaded.compile(dynamic=True)
        return loaded
    kind = "onnx" if name.startswith("ONNX") else "openvino"
    kept = out / name.replace(", ", "-").replace(" ", "-").lower()
    if not kept.exists():
        directory = kept.with_suffix(".partial")
        exported = SentenceTransformer(model, device="cpu", backend=kind, model_kwargs={"export": True})
        exported.save_pretrained(str(directory))
        if name == "ONNX Runtime, f32":
            from sentence_transformers import export_optimized_onnx_model

            export_optimized_onnx_model(exported, "O3", str(directory))
        if name == "ONNX Runtime, int8":
            from sentence_transformers import export_dynamic_quantized_onnx_model

            avx512 = "avx512_vnni" in Path("/proc/cpuinfo").read_text()
            export_dynamic_quantized_onnx_model(exported, "avx512_vnni" if avx512 else "avx2", str(directory))
        if name == "OpenVINO, int8":
            from datasets import Dataset
            from sentence_transformers import export_static_quantized_openvino_model
            from optimum.intel import OVQuantizationConfig

            # The function takes a data set of the hub by name alone.
            import datasets
            datasets.load_dataset = lambda *_, **__: Dataset.from_dict({"sentence": calibration})
            export_static_quantized_openvino_model(exported, OVQuantizationConfig(), str(directory), "local", "local", "train",
                                                   "sentence")
        directory.rename(kept)
    files = sorted(file.name for file in (kept / kind).glob("*.onnx" if kind == "onnx" else "*.xml"))
    # The file that is not the plain export, if there is one.
    file = max(files, key=len)
    if kind == "onnx":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        arguments = {"file_name": f"onnx/{file}", "session_options": options, "provider": "CPUExecutionProvider"}
    else:
        arguments = {"file_name": f"openvino/{file}", "ov_config": {
            "INFERENCE_NUM_THREADS": str(threads), "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if "bf16" in name else "f32"}}
    return SentenceTransformer(str(kept), device="cpu", backend=kind, model_kwargs=arguments)


def worker(name, model, out, threads, sentences):
    texts = Path(sentences).read_text(encoding="utf8").splitlines()
    # Everything else that is printed, libraries' messages included, goes to standard error.
    answers, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr
    os.dup2(2, 1)
    loaded = load(name, model, Path(out), threads, texts[:300])
    for line in sys.stdin:
        command = json.loads(line)
        texts, size = command["texts"], command.get("batch_size", 32)
        started = time.perf_counter()
        if command.get("one"):
            answer = []
            for text in texts:
                started = time.perf_counter()
                loaded.encode([text])
                answer.append(time.perf_counter() - started)
        elif command.get("embeddings"):
            answer = loaded.encode(texts, batch_size=size, convert_to_numpy=True).astype("float32").tolist()
        else:
            loaded.encode(texts, batch_size=size)
            answer = time.perf_counter() - started
        print(json.dumps(answer), file=answers, flush=True)


# What measures.


class Peer:
    def __init__(self, name, python, args, sentences):
        command = [python, __file__, "--worker", name, args.model, str(args.out), str(args.threads), str(sentences)]
        log = open(args.out / "log.txt", "a")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        self.size = 32

    def ask(self, **command):
        print(json.dumps(command), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("it ended; its messages are in log.txt")
        return json.loads(answer)

    def choose(self, texts):
        times = {size: min(self.ask(texts=texts, batch_size=size) for _ in range(2)) for size in BATCH_SIZES}
        self.size = min(times, key=times.get)

    def seconds(self, texts):
        return self.ask(texts=texts, batch_size=self.size)

    def one(self, texts):
        return self.ask(texts=texts, one=True)

    def embeddings(self, texts):
        return self.ask(texts=texts, embeddings=True)

    def close(self):
        self.process.kill()


class Here:
    def __init__(self, name, args):
        self.args, self.size = args, "–"
        self.flags = ["--model", args.model, "--precision", name.split(", ")[1], "--threads", str(args.threads)]
        self.input, self.output = args.out / "texts.txt", args.out / "here.npy"

    def choose(self, texts):
        self.seconds(texts)

    def seconds(self, texts):
        self.input.write_text("".join(f"{text}\n" for text in texts), encoding="utf8")
        done = subprocess.run([self.args.program, "encode", self.input, *self.flags, "--output", self.output, "--json", "-q"],
                              check=True, capture_output=True, text=True)
        return json.loads(done.stdout)["seconds"]

    def one(self, texts):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = subprocess.Popen([self.args.program, "serve", *self.flags, "--port", str(port)],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(100):
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    time.sleep(0.1)
            # One connection for all requests, as a client in another program would keep it.
            connection = http.client.HTTPConnection("127.0.0.1", port)
            times = []
            for text in [*texts[:5], *texts]:
                started = time.perf_counter()
                connection.request("POST", "/embed", json.dumps({"inputs": text}), {"content-type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                times.append(time.perf_counter() - started)
                assert answer.status == 200, answer.status
            return times[5:]
        finally:
            server.kill()

    def embeddings(self, texts):
        import numpy

        self.seconds(texts)
        return numpy.load(self.output)

    def close(self):
        pass


def spearman(contender, pairs):
    import numpy
    from scipy.stats import spearmanr

    sides = [numpy.array(contender.embeddings([pair[side] for pair in pairs]), dtype=float) for side in (1, 2)]
    unit = [side / numpy.linalg.norm(side, axis=1, keepdims=True) for side in sides]
    return 100 * spearmanr((unit[0] * unit[1]).sum(1), [float(pair[0]) for pair in pairs])[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("sentences")
    parser.add_argument("sts")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="", help="contenders with this in their names")
    parser.add_argument("--out", type=Path, required=True)
    for environment in ["peer", "onnx", "openvino"]:
        parser.add_argument(f"--{environment}")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    texts = Path(args.sentences).read_text(encoding="utf8").splitlines()[: args.count]
    columns = [line.split("\t") for line in Path(args.sts).read_text(encoding="utf8").splitlines()]
    pairs = [(row[4], row[5], row[6]) for row in columns]

    contenders, results = {}, {}
    for name, environment in CONTENDERS.items():
        python = environment and getattr(args, environment)
        if args.only not in name or (environment and not python):
            continue
        print(f"{name}: loading", file=sys.stderr, flush=True)
        contender = Peer(name, python, args, args.sentences) if environment else Here(name, args)
        try:
            contender.choose(texts[:256])
            points = spearman(contender, pairs)
        except (RuntimeError, subprocess.CalledProcessError) as error:
            print(f"{name}: left out: {error}", file=sys.stderr)
            contender.close()
            continue
        contenders[name] = contender
        results[name] = {"points": points, "rates": [], "one": None}
    for number in range(args.rounds):
        print(f"round {number + 1}", file=sys.stderr, flush=True)
        for name, contender in contenders.items():
            results[name]["rates"].append(len(texts) / contender.seconds(texts))
    for name, contender in contenders.items():
        results[name]["one"] = 1000 * statistics.median(contender.one(texts[:ONE_AT_A_TIME]))
        contender.close()

    processor = next(line.split(": ")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    print(f"{processor}, {args.threads} threads; {Path(args.model).name}, {len(texts)} sentences, {args.rounds} rounds\n")
    print("| | batch | sentences/s | range | one sentence, ms | Spearman, points | less f32 |\n|---|---|---|---|---|---|---|")
    whole = next(iter(results.values()))["points"]
    for name, found in results.items():
        rates = found["rates"]
        print(f"| {name} | {contenders[name].size} | {statistics.median(rates):.0f} | {min(rates):.0f} to {max(rates):.0f} "
              f"| {found['one']:.1f} | {found['points']:.2f} | {found['points'] - whole:+.2f} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        name, model, out, threads, sentences = sys.argv[2:]
        worker(name, model, out, int(threads), sentences)
    else:
        main()
