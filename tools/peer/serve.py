"""Loads `simcse serve`, and sentence-transformers behind FastAPI, with requests of one text each.

    serve.py PROGRAM MODEL TEXTS [--seconds 5] [--rounds 3] [--clients 1,8,32] [--require 2]

Needs the peer, fastapi and uvicorn in one interpreter. The peer's endpoint is a plain `def` that calls
`model.encode`, which FastAPI runs on its pool of threads. Both servers run at the same time, on all cores that this
process may use, and are loaded in turns: A, B, A, B, …; while one is, the other is idle.

Clients are a closed loop: each connection sends its next request when it has the answer to the last one. They share
the cores with the servers, so they are one process with one thread that waits for all sockets at once, sends bytes
that were made before, and looks at nothing of an answer but its length; every answer must have status 200. How much
processor time that takes per request is printed. Before anything is timed, both servers must give the same
embeddings, to 1e-5. --require N fails if `simcse serve` has less than N times the requests per second of the peer
with any number of clients, or a higher median latency.
"""

import argparse
import json
import os
import re
import selectors
import socket
import subprocess
import sys
import time
import urllib.request

APP = """
import sys, threading
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

model = SentenceTransformer(sys.argv[1], device="cpu")
app = FastAPI()

class Request(BaseModel):
    inputs: list[str]

@app.post("/embed")
def embed(request: Request) -> list[list[float]]:
    return model.encode(request.inputs, normalize_embeddings=True, show_progress_bar=False).tolist()

uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def start_ours(program, model, *flags):
    """A server, and its port."""
    command = [program, "serve", "--model", model, "--port", "0", *flags]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in server.stderr:
        if found := re.search(r"serving at http://[^ ]*:(\d+)", line):
            return server, int(found[1])
    sys.exit("serve.py: the server has not started")


def start_peer(model):
    port = free_port()
    server = subprocess.Popen([sys.executable, "-c", APP, model, str(port)])
    for _ in range(600):
        try:
            post(port, "/embed", {"inputs": ["x"]})
            return server, port
        except OSError:
            time.sleep(0.1)
    sys.exit("serve.py: the peer has not started")


def post(port, path, body):
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def make_request(text):
    body = json.dumps({"inputs": [text]}).encode()
    head = f"POST /embed HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Client:
    """A connection that is never without a request."""

    def __init__(self, port, requests):
        self.requests = requests
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.latencies = []
        self.send()

    def send(self):
        self.buffer, self.end = b"", None
        self.sent = time.perf_counter()
        self.socket.sendall(next(self.requests))

    def receive(self):
        data = self.socket.recv(1 << 16)
        if not data:
            sys.exit("serve.py: a connection was closed")
        self.buffer += data
        if self.end is None and (head := self.buffer.find(b"\r\n\r\n")) >= 0:
            text = self.buffer[:head].lower()
            if not text.startswith(b"http/1.1 200"):
                sys.exit(f"serve.py: {self.buffer[:200]}")
            self.end = head + 4 + int(re.search(rb"content-length: (\d+)", text)[1])
        if self.end is not None and len(self.buffer) >= self.end:
            self.latencies.append(time.perf_counter() - self.sent)
            self.send()


def load(port, requests, clients, seconds):
    """Requests per second, their latencies, and the generator's processor time."""
    waiting = selectors.EpollSelector()
    clients = [Client(port, requests) for _ in range(clients)]
    for client in clients:
        waiting.register(client.socket, selectors.EVENT_READ, client)
    used, begin = time.process_time(), time.perf_counter()
    while time.perf_counter() < begin + seconds:
        for key, _ in waiting.select(1):
            key.data.receive()
    elapsed, used = time.perf_counter() - begin, time.process_time() - used
    latencies = sorted(latency for client in clients for latency in client.latencies)
    for client in clients:
        client.socket.close()
    time.sleep(0.3)
    return len(latencies) / elapsed, latencies, used


def percentile(latencies, share):
    return 1000 * latencies[min(len(latencies) - 1, int(share * len(latencies)))]


def cycle(requests):
    while True:
        yield from requests


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("texts")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", default="1,8,32")
    parser.add_argument("--require", type=float)
    args = parser.parse_args()
    with open(args.texts, encoding="utf-8") as file:
        texts = [line.rstrip("\n") for line in file][:20_000]
    ours, port = start_ours(args.program, args.model)
    peer, peer_port = start_peer(args.model)
    try:
        a, b = (post(at, "/embed", {"inputs": texts[:64]}) for at in (port, peer_port))
        worst = max(abs(x - y) for row, other in zip(a, b) for x, y in zip(row, other))
        print(f"64 texts: values differ by at most {worst:.1e}; {len(os.sched_getaffinity(0))} cores")
        if worst > 1e-5:
            sys.exit("serve.py: the embeddings differ")
        compare(args, [make_request(text) for text in texts], {"simcse": port, "peer": peer_port})
    finally:
        for server in (ours, peer):
            server.terminate()
            server.wait()


def compare(args, requests, ports):
    failed = []
    print(f"{'clients':>7}  {'server':7}{'requests/s':>11}{'p50 ms':>9}{'p99 ms':>9}{'load generator, µs/request':>29}")
    for clients in map(int, args.clients.split(",")):
        rates, times, used = ({name: [] for name in ports} for _ in range(3))
        for number in range(args.rounds):
            for name, port in ports.items():
                sent = cycle(requests[1000 * number % len(requests):])
                rate, latencies, cpu = load(port, sent, clients, args.seconds)
                rates[name].append(rate)
                times[name] += latencies
                used[name].append(1e6 * cpu / max(1, len(latencies)))
        figures = {}
        for name in ports:
            rate, latencies = sorted(rates[name])[args.rounds // 2], sorted(times[name])
            p50, p99 = percentile(latencies, 0.5), percentile(latencies, 0.99)
            figures[name] = rate, p50
            print(f"{clients:7}  {name:7}{rate:11.1f}{p50:9.1f}{p99:9.1f}{sum(used[name]) / args.rounds:29.0f}")
        ratio = figures["simcse"][0] / figures["peer"][0]
        print(f"{clients:7}  ratio  {ratio:11.2f}{figures['simcse'][1] / figures['peer'][1]:9.2f}")
        if args.require and (ratio < args.require or figures["simcse"][1] > figures["peer"][1]):
            failed.append(f"{clients} clients: {ratio:.2f} times the requests per second")
    if failed:
        sys.exit(f"serve.py: expected at least {args.require} times, found {'; '.join(failed)}")


if __name__ == "__main__":
    main()
