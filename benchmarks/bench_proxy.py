"""What the cache costs on the way through the proxy, against the same proxy with nothing but its forwarder.

    python benchmarks/bench_proxy.py [--smoke]

Upstream, forward-only proxy and caching proxy each run under uvicorn in a process of their own; the loader is this
process, with raw keep-alive sockets. The two proxies are asked in turn, request by request, so that whatever else the
machine does meets both; the CPU time of the two tells what is left of it. Every request is a new question from the
default identity (an API key), so the caching proxy always misses. Embedding is left out (``match = "exact"``): a first
question is embedded after its answer has gone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from semcache_proxy import create_app
from semcache_proxy.edge import Edge
from semcache_proxy.forward import Forward
from semcache_proxy.loopback import AS_PROXY
from semcache_proxy.upstream import Upstream

ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 40}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 40, "total_tokens": 52},
    }
).encode()
EVENT = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "m",
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": "word "}, "finish_reason": None}],
    }
).encode()
LAST_EVENT = EVENT.replace(b'"finish_reason": null', b'"finish_reason": "stop"')
EXACT = {
    "semcache": {"match": "exact"},
    "vector_store": {"use": "memory"},
    "response_store": {"use": "memory"},
}


slow_calls = 0
"""In the upstream's process: how often it was asked for something slow."""


# -- the servers ------------------------------------------------------------------------------------------------------


async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
    """A chat server with nothing to think about; ``/slow`` in the path takes 200 ms and is counted in the answer."""
    global slow_calls
    if scope["type"] == "lifespan":
        return
    asked = b""
    more = True
    while more:
        message = await receive()
        asked += message.get("body", b"")
        more = message.get("more_body", False)
    if scope["path"].startswith("/slow"):
        slow_calls += 1
        await asyncio.sleep(0.2)
    streamed = b'"stream": true' in asked
    kind = b"text/event-stream" if streamed else b"application/json"
    headers = [(b"content-type", kind), (b"x-slow-calls", b"%d" % slow_calls)]
    if not streamed:
        headers.append((b"content-length", b"%d" % len(ANSWER)))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if not streamed:
        await send({"type": "http.response.body", "body": ANSWER})
        return
    for event in (EVENT, EVENT, LAST_EVENT, b"[DONE]"):
        await send({"type": "http.response.body", "body": b"data: " + event + b"\n\n", "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def app_of(role: str, target: str) -> ASGIApp:
    """Return the app that a child process serves."""
    match role:
        case "upstream":
            return upstream
        case "forward":
            return Edge(Forward(Upstream.parse(target)))
        case _:
            return create_app(target, config=EXACT, loopback=True)


def serve(role: str, target: str, descriptor: int) -> None:
    """Serve one role on a socket that the parent opened."""
    # Not uvicorn's own fd=: it takes the socket for a Unix one and leaves Nagle's algorithm on.
    config = uvicorn.Config(app_of(role, target), log_level="critical", **AS_PROXY)
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


class Server(NamedTuple):
    """A child process."""

    port: int
    process: int

    def cpu(self) -> float:
        """Return the CPU seconds it has used; 0.0 where there is no /proc to read."""
        try:
            fields = Path(f"/proc/{self.process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def started(role: str, target: str = "") -> Iterator[Server]:
    """Run a role in a process of its own."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        port: int = listener.getsockname()[1]
        command = [
            sys.executable,
            __file__,
            "--serve",
            role,
            "--target",
            target,
            "--descriptor",
            str(listener.fileno()),
        ]
        process = subprocess.Popen(command, pass_fds=[listener.fileno()], env=os.environ | {"PYTHONWARNINGS": "ignore"})
        try:
            yield Server(port, process.pid)
        finally:
            process.terminate()
            process.wait()


# -- the loader -------------------------------------------------------------------------------------------------------


class Line:
    """One keep-alive connection of a client that does as little as it can."""

    def __init__(self, port: int, path: str = "/v1/chat/completions") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = f"POST {path} HTTP/1.1\r\nhost: p\r\nauthorization: Bearer k\r\ncontent-type: application/json\r\n"

    def ask(self, question: str, *, stream: bool = False) -> tuple[float, float]:
        """Return the seconds to the first byte of the body, and to its end."""
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": question}], "stream": stream})
        request = f"{self._head}content-length: {len(body)}\r\n\r\n{body}".encode()
        started = time.perf_counter()
        self._socket.sendall(request)
        data = b""
        first = None
        while not complete(data):
            data += self._socket.recv(65536)
            if first is None and data.partition(b"\r\n\r\n")[2]:
                first = time.perf_counter() - started
        return first or 0.0, time.perf_counter() - started

    def close(self) -> None:
        self._socket.close()


def slow_calls_of(port: int) -> int:
    """Ask the upstream itself how often it was called slowly."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: u\r\n\r\n")
        data = b""
        while not complete(data):
            data += connection.recv(65536)
    return int(data.partition(b"x-slow-calls: ")[2].partition(b"\r\n")[0])


def complete(data: bytes) -> bool:
    """Say whether an answer has ended: by its length, or by its last chunk."""
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return False
    if b"transfer-encoding: chunked" in head.lower():
        return body.endswith(b"0\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return len(body) >= int(length.partition(b":")[2])


class Pair(NamedTuple):
    """What the same requests took through two proxies: medians of seconds, and CPU seconds of the proxy a request."""

    plain: float
    cached: float
    plain_cpu: float
    cached_cpu: float


def in_turn(servers: Sequence[Server], path: str, count: int, *, stream: bool, pick: int) -> Pair:
    """Ask each server ``count`` new questions, by turns. ``pick``: 0 until the body's first byte, 1 until its end."""
    lines = [Line(server.port, path) for server in servers]
    before = [server.cpu() for server in servers]
    took: list[list[float]] = [[] for _ in lines]
    for number in range(count):
        for line, seconds in zip(lines, took, strict=True):
            seconds.append(line.ask(f"What is the meaning of the number {number}?", stream=stream)[pick])
    used = [(server.cpu() - start) / count for server, start in zip(servers, before, strict=True)]
    for line in lines:
        line.close()
    return Pair(statistics.median(took[0]), statistics.median(took[1]), *used)


async def crowd(port: int, path: str, size: int) -> float:
    """Return the seconds until ``size`` equal requests, sent at once on open connections, are all answered."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": f"stampede {time.time()}"}]})
    request = (
        f"POST {path} HTTP/1.1\r\nhost: p\r\nauthorization: Bearer k\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    ).encode()
    pairs = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(size)))

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(request)
        data = b""
        while not complete(data):
            data += await reader.read(65536)

    began = time.perf_counter()
    await asyncio.gather(*(one(*pair) for pair in pairs))
    took = time.perf_counter() - began
    for _, writer in pairs:
        writer.close()
    return took


def best(measure: Callable[[], float], times: int) -> float:
    """Return the median of several runs."""
    return statistics.median(measure() for _ in range(times))


# -- the report -------------------------------------------------------------------------------------------------------


def told(name: str, pair: Pair, *, bound: float) -> None:
    """Print one figure: medians in milliseconds, the difference, and what it must not exceed."""
    plain, cached, plain_cpu, cached_cpu = (seconds * 1000 for seconds in pair)
    verdict = "ok" if cached - plain <= bound else "MISSED"
    print(f"{name:34} {plain:8.3f} {cached:8.3f} {cached - plain:+8.3f}  at most {bound:+.2f} ms  {verdict}")
    print(f"{'  CPU of the proxy':34} {plain_cpu:8.3f} {cached_cpu:8.3f} {cached_cpu - plain_cpu:+8.3f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="small sizes: shows that it works, not how fast it is")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--target", help=argparse.SUPPRESS)
    parser.add_argument("--descriptor", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.target, options.descriptor)
        return
    count, runs = (50, 1) if options.smoke else (10_000, 7)
    with started("upstream") as there:
        target = f"http://127.0.0.1:{there.port}"
        with started("forward", target) as forward, started("cached", target) as cached:
            both = (forward, cached)
            in_turn(both, "/chat/completions", max(count // 20, 10), stream=False, pick=1)
            print(f"{'':34} {'forward':>8} {'cached':>8} {'more':>8}   (ms, medians of {count} each)")
            told("miss, 1 connection", in_turn(both, "/a/chat/completions", count, stream=False, pick=1), bound=0.15)
            told("first byte of a stream", in_turn(both, "/b/chat/completions", count, stream=True, pick=0), bound=0.3)
            own = best(lambda: asyncio.run(crowd(there.port, "/chat/completions", 100)), runs)
            stampede = best(lambda: asyncio.run(crowd(cached.port, "/slow/chat/completions", 100)), runs)
            ratio = stampede / (0.2 + own)
            calls = slow_calls_of(there.port) / runs
            print(
                f"\nstampede, 100 equal requests, upstream of 200 ms: {stampede * 1000:.0f} ms, {calls:g} upstream call"
            )
            verdict = "ok" if ratio <= 1.15 else "MISSED"
            print(f"  over 200 ms + the raw app's own {own * 1000:.0f} ms: {ratio:.2f}x, at most 1.15x  {verdict}")


if __name__ == "__main__":
    main()
