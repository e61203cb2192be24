"""The processes of the soak: an upstream, and proxies that share one file.

python benchmarks/soak/processes.py PORT     # the upstream alone
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import uvicorn

CONFIG = """
[semcache]
ttl = "90s"
stale_while_revalidate = "1m"
stale_if_error = "5m"
max_body = "1 MiB"
[embedder]
use = "onnx"
bundled = "all-minilm-l6-v2"
[vector_store]
use = "sqlite"
path = "{folder}/cache.db"
max_bytes = "{max_bytes}"
max_memory = "16 MiB"
[response_store]
use = "sqlite"
path = "{folder}/cache.db"
max_bytes = "{max_bytes}"
[verifiers]
use = ["text-guard"]
[http]
ignore_headers = ["x-script"]
[limits]
alias_cache = 2048
embedding_cache = 512
write_queue = 1000
"""
HEAD = {"id": "c", "created": 1, "model": "m"}
COMMAND = [sys.executable, "-c", "from semcache_core.cli import main; main()"]


# -- the upstream -----------------------------------------------------------------------------------------------------


async def upstream(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
    """A chat server: ``X-Script`` says its status; a stream comes slowly."""
    if scope["type"] != "http":
        return
    asked, more = b"", True
    while more:
        message = await receive()
        asked, more = asked + message.get("body", b""), message.get("more_body", False)
    status = int(dict(scope["headers"]).get(b"x-script", b"200"))
    streamed = status == 200 and b'"stream": true' in asked
    fields = [(b"content-type", b"text/event-stream" if streamed else b"application/json")]
    fields += [(b"semcache-control", b"tags=soak")] if status == 200 else []
    await asyncio.sleep(0.02)
    await send({"type": "http.response.start", "status": status, "headers": fields})
    words = "".join(f"word{len(asked) + at} " for at in range(60))
    for piece in _stream(words) if streamed else [_whole(words) if status == 200 else b'{"error": {}}']:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        await asyncio.sleep(0.01 if streamed else 0)
    await send({"type": "http.response.body", "body": b""})


def _whole(words: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"}
    return json.dumps({**HEAD, "object": "chat.completion", "choices": [choice]}).encode()


def _stream(words: str) -> list[bytes]:
    deltas = [{"content": words[at : at + 100]} for at in range(0, len(words), 100)]
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    chunks = [json.dumps({**HEAD, "object": "chat.completion.chunk", "choices": [each]}) for each in choices]
    return [f"data: {chunk}\n\n".encode() for chunk in (*chunks, "[DONE]")]


# -- the processes ----------------------------------------------------------------------------------------------------


class Site:
    """The upstream and the proxies, each a process; ``with Site(...)`` ends them."""

    def __init__(self, folder: Path, *, proxies: int, max_bytes: str) -> None:
        self.folder = folder
        self.config = folder / "semcache.toml"
        self.config.write_text(CONFIG.format(folder=folder, max_bytes=max_bytes))
        self._upstream_port = _free_port()
        self._upstream: subprocess.Popen[bytes] | None = None
        self._proxies: list[subprocess.Popen[bytes]] = []
        self.urls: list[str] = []
        self._count = proxies

    def __enter__(self) -> Site:
        self.start_upstream()
        for _ in range(self._count):
            port = _free_port()
            command = [*COMMAND, "serve", "--port", str(port)]
            command += ["--upstream", f"http://127.0.0.1:{self._upstream_port}", "--config", str(self.config)]
            log = (self.folder / f"proxy-{port}.log").open("wb")
            self._proxies.append(subprocess.Popen(command, stdout=log, stderr=log))
            self.urls.append(f"http://127.0.0.1:{port}")
        for url in self.urls:
            _await(url + "/.semcache/ready")
        return self

    def __exit__(self, *exc: object) -> None:
        for process in (*self._proxies, self._upstream):
            if process is not None:
                process.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(40)
                process.kill()

    def start_upstream(self) -> None:
        """Start the upstream on its port."""
        self._upstream = subprocess.Popen([sys.executable, __file__, str(self._upstream_port)])

    def stop_upstream(self) -> None:
        """Kill the upstream, as a crash would."""
        if self._upstream is not None:
            self._upstream.kill()
            self._upstream.wait()

    async def purge(self) -> int:
        """Purge by tag with the command line; return its exit status."""
        command = [*COMMAND, "purge", "--tag", "soak", "--yes", "--config", str(self.config)]
        quiet = subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(*command, stdout=quiet, stderr=quiet)
        return await process.wait()

    def figures(self) -> dict[str, float]:
        """Return the sums over the proxies, and the sizes of the file."""
        totals = {"rss MiB": 0.0, "descriptors": 0.0, "threads": 0.0}
        for process in self._proxies:
            lines = Path(f"/proc/{process.pid}/status").read_text("ascii").splitlines()
            status = dict(line.split(":", 1) for line in lines)
            totals["rss MiB"] += int(status["VmRSS"].split()[0]) / 1024
            totals["threads"] += int(status["Threads"])
            totals["descriptors"] += len(os.listdir(f"/proc/{process.pid}/fd"))
        totals["file MiB"] = _size(self.folder / "cache.db")
        totals["wal MiB"] = _size(self.folder / "cache.db-wal")
        return totals


def _size(path: Path) -> float:
    return path.stat().st_size / 2**20 if path.exists() else 0.0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _await(url: str) -> None:
    for _ in range(600):
        with suppress(httpx.HTTPError):
            if httpx.get(url).status_code == 200:
                return
        time.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


if __name__ == "__main__":
    uvicorn.run(upstream, host="127.0.0.1", port=int(sys.argv[1]), log_level="critical")
