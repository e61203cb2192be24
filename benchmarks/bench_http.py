"""HTTP figures of the ASGI driver: exact hits, misses, and the first byte of a stream, against the same app without it.

    python benchmarks/bench_http.py [--smoke] [--loop asyncio|uvloop]

Every application runs under uvicorn (httptools) in a process of its own; the loader is another process, with raw
keep-alive sockets, precomputed requests and one selector, so that it costs a few microseconds a request.
Applications are asked in turn, slice by slice, so that whatever else the machine does meets all of them; each figure is
the median of the slices' ratios. Keys are distinct and asked in random order. Identity, statistics, an observer and the
text guard are on. Embedding is left out (``match = "exact"``): an exact hit and a miss never wait for it.
"""

from __future__ import annotations

import argparse
import json
import random
import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from starlette.requests import Request

KEYS = 10_000
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 40}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 40, "total_tokens": 52},
}
EVENT = {
    **ANSWER,
    "object": "chat.completion.chunk",
    "choices": [{"index": 0, "delta": {"content": "word "}}],
    "usage": None,
}
LAST = {**EVENT, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
CONFIG = {
    "semcache": {"match": "exact"},
    "vector_store": {"use": "memory"},
    "response_store": {"use": "memory", "max_bytes": 1 << 30},
    "http": {"identity_secret": "benchmark-secret-benchmark-secret"},
}

# -- the applications -------------------------------------------------------------------------------------------------


def raw_app() -> Any:
    """Return an ASGI callable that reads the body and answers: nothing can be faster under this server."""
    body = json.dumps(ANSWER).encode()
    head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError("http only")
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    return app


def fastapi_app(*, reads: bool = True) -> Any:
    """Return the FastAPI application that all figures are about: its handler takes the request's JSON and returns a
    dict. ``reads=False``: it never looks at the request, which no chat endpoint could do, and FastAPI can do no less.
    """
    from fastapi import FastAPI
    from fastapi.responses import StreamingResponse

    app = FastAPI()

    async def words() -> Any:
        for _ in range(20):
            yield b"data: " + json.dumps(EVENT).encode() + b"\n\n"
        yield b"data: " + json.dumps(LAST).encode() + b"\n\ndata: [DONE]\n\n"

    if reads:

        @app.post("/v1/chat/completions")
        async def complete(body: dict[str, Any]) -> Any:
            return ANSWER

    else:

        @app.post("/v1/chat/completions")
        async def complete_unread() -> Any:
            return ANSWER

    @app.post("/stream/chat/completions")
    async def stream(request: Request) -> Any:
        return StreamingResponse(words(), media_type="text/event-stream")

    return app


def unread_app() -> Any:
    """Return the same application with a handler that never looks at its request."""
    return fastapi_app(reads=False)


def cached_app() -> Any:
    """Return the same application behind the driver, with an observer that hears every event."""
    from semcache_core import SemanticCache
    from semcache_core.config import load
    from semcache_core.http.asgi import SemanticCacheASGI
    from semcache_core.plugin import hookimpl
    from semcache_core.runtime.registry import Registry

    class Observer:
        heard = 0

        @hookimpl
        def semcache_observe(self, event: Any) -> None:
            self.heard += 1

    registry = Registry.installed()
    registry.add(Observer(), distribution="benchmark")
    return SemanticCacheASGI(fastapi_app(), cache=SemanticCache(load(CONFIG), registry=registry))


APPS = {"raw": raw_app, "fastapi": fastapi_app, "unread": unread_app, "semcache": cached_app}


def serve(name: str, port: int, loop: str) -> None:
    """Run one application until the parent goes away."""
    import uvicorn

    quiet = {"log_level": "warning", "access_log": False}
    # A connection idles while the other applications are asked: that must not end it.
    uvicorn.run(APPS[name](), port=port, http="httptools", loop=loop, timeout_keep_alive=600, **quiet)


@contextmanager
def running(names: Sequence[str], loop: str) -> Iterator[dict[str, int]]:
    """Start the applications, each in a process, and give their ports."""
    ports = {name: _free_port() for name in names}
    processes = [
        subprocess.Popen([sys.executable, __file__, "--serve", name, "--port", str(port), "--loop", loop])
        for name, port in ports.items()
    ]
    try:
        for port in ports.values():
            _until_up(port)
        yield ports
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _until_up(port: int) -> None:
    for _ in range(400):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"nothing listens on port {port}")


# -- the loader -------------------------------------------------------------------------------------------------------


def request(prompt: str, *, path: str = "/v1/chat/completions", stream: bool = False) -> bytes:
    """Return a chat request as an SDK sends it, as bytes."""
    body = json.dumps(
        {
            "model": "m",
            "messages": [{"role": "system", "content": "You are helpful."}, {"role": "user", "content": prompt}],
            **({"stream": True} if stream else {}),
        }
    ).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: llm.example\r\naccept: application/json\r\naccept-encoding: gzip\r\n"
        "content-type: application/json\r\nuser-agent: OpenAI/Python 3.0\r\nx-stainless-lang: python\r\n"
        f"authorization: Bearer sk-benchmark\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection:
    """One keep-alive connection with one request in the air at a time."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._data = b""

    def ask(self, data: bytes) -> None:
        self._data = b""
        self.socket.sendall(data)

    def take(self) -> bool:
        """Read what is there; return whether the response is whole."""
        data = self.socket.recv(65536)
        if not data:
            raise SystemExit("the server closed a connection in the middle of a run")
        self._data += data
        return _is_whole(self._data)

    def whole(self, data: bytes) -> bytes:
        """Send a request and return its whole response."""
        self.ask(data)
        while not self.take():
            pass
        return self._data

    def first_byte_of_body(self, data: bytes) -> float:
        """Send a request, return seconds until the first byte of its body, and read the rest."""
        began = time.perf_counter()
        self.ask(data)
        while True:
            whole = self.take()
            if self._data.partition(b"\r\n\r\n")[2]:
                took = time.perf_counter() - began
                break
        while not whole:
            whole = self.take()
        return took


def _is_whole(data: bytes) -> bool:
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return False
    at = data.find(b"content-length: ", 0, end)
    if at < 0:
        return data.endswith(b"0\r\n\r\n")
    length = int(data[at + 16 : data.find(b"\r\n", at)])
    return len(data) >= end + 4 + length


def seconds_one(connection: Connection, requests: Sequence[bytes]) -> float:
    """Return seconds a request on one connection."""
    began = time.perf_counter()
    for data in requests:
        connection.whole(data)
    return (time.perf_counter() - began) / len(requests)


def seconds_many(connections: Sequence[Connection], requests: Sequence[bytes]) -> float:
    """Return seconds a request with every connection kept busy."""
    waiting = iter(requests)
    with selectors.DefaultSelector() as selector:
        began = time.perf_counter()
        for connection, data in zip(connections, waiting, strict=False):
            connection.ask(data)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        done = 0
        while done < len(requests):
            for key, _ in selector.select():
                connection = key.data
                if connection.take():
                    done += 1
                    data = next(waiting, None)
                    if data is not None:
                        connection.ask(data)
        return (time.perf_counter() - began) / len(requests)


# -- the figures ------------------------------------------------------------------------------------------------------


def hits(ports: dict[str, int], *, rounds: int, slice_of: int) -> None:
    """Print exact hits at 1 and 32 connections."""
    keys = [
        request(f"How do I change the delivery address of order {number} once it is shipped?") for number in range(KEYS)
    ]
    filler = Connection(ports["semcache"])
    for data in keys:
        filler.whole(data)
    again = filler.whole(keys[0])
    assert b"x-cache: HIT" in again, again[:300]
    for connections in (1, 32):
        clients = {name: [Connection(port) for _ in range(connections)] for name, port in ports.items()}
        taken: dict[str, list[float]] = {name: [] for name in ports}
        for round_ in range(rounds + 1):
            asked = random.sample(keys, slice_of)
            for name, client in clients.items():
                took = seconds_one(client[0], asked) if connections == 1 else seconds_many(client, asked)
                if round_:
                    taken[name].append(took)
        print(f"exact hit, {connections} connections: " + _rates(taken))
        _ratio("  against FastAPI", taken["fastapi"], taken["semcache"], 1.2 if connections == 1 else 1.8)
        _ratio("  against a FastAPI handler that never reads its request", taken["unread"], taken["semcache"])
        _ratio("  against raw ASGI", taken["raw"], taken["semcache"], 0.6)


def misses(ports: dict[str, int], *, rounds: int, slice_of: int) -> None:
    """Print misses at 1 and 32 connections: every request is a new question."""
    fresh = (request(f"What is the {number}th question of this run, and who asked it?") for number in range(10**9))
    names = ("fastapi", "semcache")
    for connections in (1, 32):
        clients = {name: [Connection(ports[name]) for _ in range(connections)] for name in names}
        taken: dict[str, list[float]] = {name: [] for name in names}
        for round_ in range(rounds + 1):
            asked = [next(fresh) for _ in range(slice_of)]
            for name, client in clients.items():
                took = seconds_one(client[0], asked) if connections == 1 else seconds_many(client, asked)
                if round_:
                    taken[name].append(took)
        print(f"miss, {connections} connections: " + _rates(taken))
        if connections == 1:
            added = statistics.median(b - a for a, b in zip(taken["fastapi"], taken["semcache"], strict=True))
            print(f"  added to FastAPI: {added * 1e3:+.3f} ms (must be at most +0.100 ms)")
        else:
            _ratio("  against FastAPI", taken["fastapi"], taken["semcache"], 0.6)


def streams(ports: dict[str, int], *, asked: int) -> None:
    """Print the first byte of a stream: from upstream, through the driver, and replayed."""
    direct, cached = Connection(ports["fastapi"]), Connection(ports["semcache"])
    path = "/stream/chat/completions"
    plain, through, replayed = [], [], []
    for number in range(asked + 20):
        data = request(f"Tell me the {number}th story about the sea and its people.", path=path, stream=True)
        plain.append(direct.first_byte_of_body(data))
        through.append(cached.first_byte_of_body(data))
        replayed.append(cached.first_byte_of_body(data))
    medians = [statistics.median(times[20:]) * 1e3 for times in (plain, through, replayed)]
    print(f"first byte of a stream: direct {medians[0]:.3f} ms, through the driver {medians[1]:.3f} ms")
    print(f"  added: {medians[1] - medians[0]:+.3f} ms (must be at most +0.500 ms)")
    print(f"first byte of a replayed stream: {medians[2]:.3f} ms (must be at most 2 ms)")


def _rates(taken: dict[str, list[float]]) -> str:
    return ", ".join(
        f"{name} {1 / statistics.median(times):,.0f}/s ({statistics.median(times) * 1e6:.0f} us)"
        for name, times in taken.items()
    )


def _ratio(label: str, ceiling: list[float], ours: list[float], least: float | None = None) -> None:
    ratio = statistics.median(a / b for a, b in zip(ceiling, ours, strict=True))
    print(f"{label}: {ratio:.2f}x" + ("" if least is None else f" (must be at least {least}x)"))


def main() -> None:
    """Print every figure, or run one application for it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--smoke", action="store_true", help="few rounds: shows that it works, not how fast it is")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--serve", choices=APPS)
    parser.add_argument("--port", type=int)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.port, options.loop)
        return
    rounds, slice_of = (2, 500) if options.smoke else (9, 2000)
    import uvicorn

    print(f"server: uvicorn {uvicorn.__version__}, httptools, {options.loop}; loader: raw sockets, own process")
    with running(tuple(APPS), options.loop) as ports:
        hits(ports, rounds=rounds, slice_of=slice_of)
        misses(ports, rounds=rounds, slice_of=slice_of)
        streams(ports, asked=50 if options.smoke else 500)


if __name__ == "__main__":
    main()
