"""Good clients of `simcse serve`, among a thousand that are slow, cut or hostile.

    serve_hostile.py PROGRAM MODEL TEXTS [--seconds 20] [--hostile 1000] [--good 8]

Needs Python 3 alone. Hostile clients send heads and bodies byte by byte or stop in the middle, close before or while
they are answered, do not read answers, ask for more than the limits allow, and send what is not HTTP, JSON or UTF-8.
Each does one of these over and over. Good ones send texts, one to eight at a time, and wait for the answers. Every
good answer must be right: its values are those that `simcse encode` gives, to the last bit. (A good request that gets
status 429 or 503, or finds no place, is repeated, and counted.) At the end the server must answer, have no more than
--memory bytes of memory more than before, and stop with status 0 within 15 seconds.
"""

import argparse
import asyncio
import json
import logging
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time

JSON = b"content-type: application/json\r\n"


def request(body, path="/embed", headers=JSON, length=None):
    length = len(body) if length is None else length
    return f"POST {path} HTTP/1.1\r\nhost: localhost\r\n".encode() + headers + f"content-length: {length}\r\n\r\n".encode() + body


def embed(texts, **fields):
    return request(json.dumps({"inputs": texts, **fields}).encode())


async def read_answer(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head)[1])
    return int(head.split(b" ")[1]), await reader.readexactly(length)


async def drip(writer, data, pause=0.2):
    for byte in data:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(pause)


async def slow_head(reader, writer):
    await drip(writer, embed(["slow"]))


async def slow_body(reader, writer):
    data = embed(["slow " * 20])
    writer.write(data[:-60])
    await drip(writer, data[-60:])


async def stuck_body(reader, writer):
    writer.write(request(b'{"inputs": "' + b"x" * 200_000, length=1_900_000))
    await reader.read()


async def silent(reader, writer):
    await reader.read()


async def cut_request(reader, writer):
    data = embed(["cut " * 50] * 50)
    writer.write(data[: random.randrange(len(data))])


async def cut_answer(reader, writer):
    writer.write(embed(["gone before the answer"] * 5))
    await asyncio.sleep(random.random() / 20)


async def half_answer(reader, writer):
    writer.write(embed(["half an answer"]))
    await reader.read(100)


async def no_reader(reader, writer):
    writer.transport.pause_reading()
    for _ in range(30):
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n" * 100)
        await asyncio.sleep(0.3)


async def too_large(reader, writer):
    writer.write(request(b'{"inputs": "' + b"x" * 3_000_000 + b'"}'))
    await read_answer(reader)


async def endless_chunks(reader, writer):
    writer.write(b"POST /embed HTTP/1.1\r\nhost: localhost\r\n" + JSON + b"transfer-encoding: chunked\r\n\r\n")
    for _ in range(200):
        writer.write(b"ffff\r\n" + b"y" * 0xFFFF + b"\r\n")
        await writer.drain()


async def long_head(reader, writer):
    writer.write(b"GET / HTTP/1.1\r\n" + b"".join(b"x-%d: %s\r\n" % (number, b"z" * 1000) for number in range(500)) + b"\r\n")
    await reader.read()


async def nonsense(reader, writer):
    writer.write(random.choice([random.randbytes(5000), b"\x16\x03\x01" + random.randbytes(300), b"GET\r\n\r\n", b"\r\n" * 4000]))
    await reader.read()


BODIES = [
    b"", b"{", b"[" * 100_000, b'{"inputs": ' + b'[' * 50_000, b'{"inputs": "\xff\xfe"}', b'{"inputs": "\\ud800"}', b'{"inputs": [1, 2, 3]}',
    b'{"inputs": 1e999}', b'{"inputs": NaN}', b'{"inputs": "x", "dimensions": 99999999999999999999999}', b'{"inputs": "x", "dimensions": -1}',
    b'{"inputs": []}', b'{"inputs": null}', b"null", b'"x"', b"[" + b"0," * 500_000 + b"0]", b'{"a":' * 5000, b'{"inputs": ["x", {}]}',
    json.dumps({"inputs": ["\0\u202e\ufeff" * 500]}).encode(), json.dumps({"inputs": ["x"] * 100_000}).encode(),
]


async def bad_bodies(reader, writer):
    for body in random.sample(BODIES, 4):
        writer.write(request(body, random.choice(["/embed", "/v1/embeddings", "/search"])))
        status, answer = await read_answer(reader)
        json.loads(answer)
        if status == 500 or (status >= 500 and status != 503):
            sys.exit(f"serve_hostile.py: status {status} for {body[:60]}: {answer[:200]}")


HOSTILE = [slow_head, slow_body, stuck_body, silent, cut_request, cut_answer, half_answer, no_reader, too_large, endless_chunks,
           long_head, nonsense, bad_bodies]


class Trial:
    def __init__(self, port, end, texts, expected):
        self.port, self.end, self.texts, self.expected = port, end, texts, expected
        self.answered = self.repeated = 0
        self.latencies, self.attacks = [], {}

    async def hostile(self, number):
        attack = HOSTILE[number % len(HOSTILE)]
        while time.monotonic() < self.end:
            writer = None
            try:
                reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", self.port), 5)
                self.attacks[attack.__name__] = self.attacks.get(attack.__name__, 0) + 1
                await asyncio.wait_for(attack(reader, writer), max(0.1, self.end - time.monotonic()))
            except (OSError, EOFError, asyncio.TimeoutError, asyncio.LimitOverrunError, TypeError):
                pass
            finally:
                if writer:
                    writer.transport.abort()
            await asyncio.sleep(random.random())

    async def good(self):
        stream = None
        while time.monotonic() < self.end:
            begin = random.randrange(len(self.texts) - 8)
            texts = range(begin, begin + random.randint(1, 8))
            started = time.monotonic()
            for attempt in range(1000):
                try:
                    stream = stream or await asyncio.open_connection("127.0.0.1", self.port)
                    stream[1].write(embed([self.texts[text] for text in texts], normalize=False))
                    status, answer = await read_answer(stream[0])
                    if status == 200:
                        break
                    if status not in (429, 503):
                        sys.exit(f"serve_hostile.py: a good request got {status}: {answer[:200]}")
                except (OSError, EOFError):
                    status = 0
                if status != 429:
                    stream = None
                self.repeated += 1
                await asyncio.sleep(0.05)
            rows = json.loads(answer)
            if rows != [self.expected[text] for text in texts]:
                sys.exit(f"serve_hostile.py: a wrong answer for texts {texts}")
            self.answered += 1
            self.latencies.append(time.monotonic() - started)


def memory(pid):
    with open(f"/proc/{pid}/status") as file:
        return {key: int(value) * 1024 for key, value in re.findall(r"(VmRSS|VmHWM):\s+(\d+)", file.read())}


async def run(args, port, texts, expected):
    trial = Trial(port, time.monotonic() + args.seconds, texts, expected)
    hostile = [trial.hostile(number) for number in range(args.hostile)]
    await asyncio.gather(*hostile, *(trial.good() for _ in range(args.good)))
    return trial


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("texts")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--hostile", type=int, default=1000)
    parser.add_argument("--good", type=int, default=8)
    parser.add_argument("--memory", type=float, default=600e6)
    args = parser.parse_args()
    random.seed(1)
    logging.disable()  # asyncio says that clients write to closed connections, as they mean to
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with open(args.texts, encoding="utf-8") as file:
        texts = [line.rstrip("\n") for line in file][:500]
    with tempfile.TemporaryDirectory() as directory:
        with open(f"{directory}/texts.txt", "w", encoding="utf-8") as file:
            file.writelines(f"{text}\n" for text in texts)
        command = [args.program, "encode", f"{directory}/texts.txt", "--model", args.model, "--output", "-"]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    expected = [json.loads(line)["embedding"] for line in lines]
    command = [args.program, "serve", "--model", args.model, "--port", "0", "--client-timeout", "5"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        port = int(re.search(r":(\d+) ", server.stderr.readline())[1])
        # Buffers for the largest batch are there before memory is looked at.
        asyncio.run(run(argparse.Namespace(seconds=2, hostile=0, good=args.good), port, texts, expected))
        before = memory(server.pid)["VmRSS"]
        trial = asyncio.run(run(args, port, texts, expected))
        after = memory(server.pid)
        times = sorted(trial.latencies)
        print(f"{args.hostile} hostile clients made {sum(trial.attacks.values())} connections; {trial.answered} good requests, all "
              f"answered rightly, p50 {1000 * times[len(times) // 2]:.0f} ms, p99 {1000 * times[int(0.99 * len(times))]:.0f} ms, "
              f"{trial.repeated} times repeated")
        print(f"memory: {before / 1e6:.0f} MB before, at most {after['VmHWM'] / 1e6:.0f} MB, {after['VmRSS'] / 1e6:.0f} MB after")
        if len(trial.attacks) != len(HOSTILE) and args.hostile >= len(HOSTILE):
            sys.exit(f"serve_hostile.py: only {trial.attacks}")
        if after["VmHWM"] - before > args.memory:
            sys.exit(f"serve_hostile.py: more than {args.memory / 1e6:.0f} MB of memory")
        begin = time.monotonic()
        os.kill(server.pid, signal.SIGTERM)
        status = server.wait(timeout=15)
        print(f"stopped with status {status} in {time.monotonic() - begin:.1f} s")
        if status != 0:
            sys.exit("serve_hostile.py: expected status 0")
    finally:
        server.kill()
        said = server.stderr.read()
    if "panicked" in said:
        sys.exit(f"serve_hostile.py: {said}")


if __name__ == "__main__":
    main()
