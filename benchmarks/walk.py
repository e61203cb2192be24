"""One request through the ASGI driver, function by function: how much of semcache it runs, and across how many files.

    python benchmarks/walk.py [--json] [--trace KIND] [--smoke]

A reader follows a request in the order in which it runs, so each switch from file to file is a page to be found. The
walk counts them with a profile hook. The stores are in memory, and the embedder, the application and the client are
doubles, so a figure is the same in every run. It depends on the interpreter: 3.12 and later inline comprehensions.

calls       every entry into a Python function of ``semcache_core`` or ``semcache_*``: calls, and each time a coroutine
            or a generator resumes. The embedder waits once, as a model does, so what waits for it resumes once.
functions   how many different ones
files       how many files they are in; the text guard counts as one
switches    how often the next call is in another file; the first call counts as a switch

The walk ends when the driver returns: what it left to the background is not counted. The cache is warm: it has answered
a request of the same kind before, with another text and from another caller.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from types import CodeType, FrameType
from typing import Any, NamedTuple, Self

import numpy as np

from semcache_core import SemanticCache
from semcache_core.config import load
from semcache_core.http.asgi import SemanticCacheASGI

CONFIG = {
    "semcache": {"jitter": 0.0, "threshold": 0.9},
    "vector_store": {"use": "memory"},
    "response_store": {"use": "memory"},
    "key_extractors": {"use": ["openai-chat"]},
    "verifiers": {"use": ["text-guard"]},
    "http": {"identity_secret": "benchmark-secret-benchmark-secret"},
}
PATH = "/v1/chat/completions"
TEXT_GUARD = "text_guard"

# -- the doubles ------------------------------------------------------------------------------------------------------


class LastWord:
    """An embedder for which texts are near exactly if they end in the same word."""

    dimensions = 64
    max_tokens = None
    batch_invariant = True
    fingerprint = "walk/last-word"
    recommended = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def embed(self, texts: Sequence[str]) -> Any:
        """Return one unit vector a text, after one turn of the loop."""
        await asyncio.sleep(0)
        return np.stack([self._vector(text) for text in texts])

    def _vector(self, text: str) -> Any:
        last_word = text.rstrip("?").split()[-1]
        vector = np.random.default_rng(zlib.crc32(last_word.encode())).standard_normal(self.dimensions)
        return (vector / np.linalg.norm(vector)).astype(np.float32)


COMPLETION = {"id": "chatcmpl-1", "created": 1_700_000_000, "model": "m"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
MESSAGE = {"role": "assistant", "content": "In the settings."}
ANSWER = {
    **COMPLETION,
    "object": "chat.completion",
    "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}],
    "usage": USAGE,
}


def event(**members: Any) -> bytes:
    """Return one event of a streamed completion."""
    return b"data: %b\n\n" % json.dumps({**COMPLETION, "object": "chat.completion.chunk", **members}).encode()


PIECES = [
    event(choices=[{"index": 0, "delta": MESSAGE, "finish_reason": None}]),
    event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]),
    event(choices=[], usage=USAGE),
    b"data: [DONE]\n\n",
]


UNANSWERED = "Is there anybody?"


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer a chat request: whole, in four pieces, or, to one text, with a failure, which no cache keeps."""
    body = json.loads((await receive())["body"])
    streamed = body.get("stream", False)
    pieces = PIECES if streamed else [json.dumps(ANSWER).encode()]
    status = 500 if body["messages"][-1]["content"] == UNANSWERED else 200
    headers = [(b"content-type", b"text/event-stream" if streamed else b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for number, piece in enumerate(pieces, 1):
        await send({"type": "http.response.body", "body": piece, "more_body": number < len(pieces)})


# -- the requests -----------------------------------------------------------------------------------------------------


class Texts(NamedTuple):
    """A question, the same in other words, another one, and one that upstream fails to answer."""

    question: str
    reworded: str
    other: str
    unanswered: str = UNANSWERED


WARMING = Texts("What is the capital of France?", "What's the capital of France?", "Who wrote the play Hamlet?")
WALKED = Texts(
    "How do I change the delivery address of my order?",
    "How can I change the delivery address for my order?",
    "Which of the two plans has a free trial period?",
)


class Ask(NamedTuple):
    """A chat request: which text it asks, and how."""

    text: str = "question"
    system: str | None = None
    streamed: bool = False
    spaced: bool = False
    """The same JSON in other bytes."""

    def body(self, texts: Texts) -> bytes:
        """Return the request's body."""
        messages = [{"role": "user", "content": getattr(texts, self.text)}]
        if self.system is not None:
            messages.insert(0, {"role": "system", "content": self.system})
        stream = {"stream": True, "stream_options": {"include_usage": True}} if self.streamed else {}
        return json.dumps({"model": "m", "messages": messages, **stream}, indent=1 if self.spaced else None).encode()


class Kind(NamedTuple):
    """A kind of request: what the caller asked before, what is walked, and how ``Cache-Status`` has to begin."""

    title: str
    before: Sequence[Ask]
    walked: Ask
    status: str = "semcache; hit"
    semantic: bool = False


MISS = "semcache; fwd=miss"
STREAMED = Ask(streamed=True)
KINDS = {
    "known": Kind("exact hit, known by its bytes", [Ask(), Ask()], Ask()),
    "first": Kind("exact hit, the first after the miss", [Ask()], Ask()),
    "anew": Kind("exact hit in other bytes, read anew", [Ask(), Ask()], Ask(spaced=True)),
    "streamed-hit": Kind("streamed hit", [STREAMED, STREAMED], STREAMED),
    # The caller and the scope are known, but nothing is stored in the scope.
    "miss": Kind("miss, nothing in its scope", [Ask("other", system="Be kind."), Ask("unanswered")], Ask(), MISS),
    "semantic": Kind("semantic hit", [Ask()], Ask("reworded"), semantic=True),
    "streamed-miss": Kind("streamed miss, four pieces", [STREAMED._replace(text="other")], STREAMED, MISS),
}


# -- the walk ---------------------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """One entry into a function."""

    file: str
    code: CodeType


class Figures(NamedTuple):
    """What is counted in one walk."""

    calls: int
    functions: int
    files: int
    switches: int

    @classmethod
    def of(cls, steps: Sequence[Step]) -> Self:
        """Count a walk."""
        files = [TEXT_GUARD if TEXT_GUARD in step.file else step.file for step in steps]
        switches = 1 + sum(here != there for here, there in pairwise(files))
        return cls(len(steps), len({step.code for step in steps}), len(set(files)), switches)


class Client:
    """One caller of the driver, with the texts it asks."""

    def __init__(self, driver: Any, name: str, texts: Texts) -> None:
        self._driver, self._texts = driver, texts
        self._headers = [
            (b"host", b"llm.example"),
            (b"content-type", b"application/json"),
            (b"authorization", b"Bearer " + name.encode()),
        ]
        self._resident = asyncio.all_tasks()

    async def walk(self, kind: Kind) -> list[Step]:
        """Ask what comes before a request of this kind, then the request itself; return its steps."""
        for ask in kind.before:
            await self._ask(ask, [])
        steps: list[Step] = []
        status = await self._ask(kind.walked, steps)
        if not status.startswith(kind.status) or kind.semantic != ("detail=semantic" in status):
            raise SystemExit(f"this was to be a {kind.title}; the driver says {status!r}")
        return steps

    async def _ask(self, ask: Ask, steps: list[Step]) -> str:
        """Send one request and add its steps; return its ``Cache-Status``."""
        sent: list[Any] = []
        waiting = [{"type": "http.request", "body": ask.body(self._texts), "more_body": False}]

        async def receive() -> Any:
            return waiting.pop() if waiting else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "root_path": "",
            "path": PATH,
            "raw_path": PATH.encode(),
            "query_string": b"",
            "headers": self._headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        with noted(steps):
            await self._driver(scope, receive, send)
        await self._settle()
        return str(dict(sent[0]["headers"])[b"cache-status"].decode())

    async def _settle(self) -> None:
        """Wait for what the request left to the background, or a second if that never ends."""
        while begun := asyncio.all_tasks() - self._resident:
            done, _ = await asyncio.wait(begun, timeout=1)
            if not done:
                return


@contextmanager
def noted(steps: list[Step]) -> Iterator[None]:
    """Add every entry into a function of semcache, in this thread, to ``steps``."""

    def hook(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            module: str = frame.f_globals.get("__name__", "")
            if module.startswith("semcache_"):
                steps.append(Step(module, frame.f_code))

    sys.setprofile(hook)
    try:
        yield
    finally:
        sys.setprofile(None)


async def walk(kind: Kind) -> list[Step]:
    """Return the steps of one request of this kind, in a cache of its own that has had one such request before."""
    async with SemanticCache(load(CONFIG), embedder=LastWord()) as cache:
        driver = SemanticCacheASGI(application, cache=cache)
        await Client(driver, "warming", WARMING).walk(kind)
        return await Client(driver, "walked", WALKED).walk(kind)


# -- the report -------------------------------------------------------------------------------------------------------


def table(figures: Mapping[str, Figures]) -> str:
    """Return the figures of every kind as a Markdown table."""
    rows = [["request", *Figures._fields], ["---"] * 5]
    rows += [[KINDS[name].title, *map(str, each)] for name, each in figures.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def trace(steps: Sequence[Step]) -> str:
    """Return a walk, a line a step; a file is named where the walk enters it."""
    lines, here = [], ""
    for file, code in steps:
        lines.append(f"{'' if file == here else file:<48}{code.co_qualname}")
        here = file
    return "\n".join(lines)


def main() -> None:
    """Print the figures of every kind, or the steps of one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, not as a Markdown table")
    parser.add_argument("--trace", choices=KINDS, metavar="KIND", help=f"print one walk: {', '.join(KINDS)}")
    parser.add_argument("--smoke", action="store_true", help="changes nothing: it takes two seconds at most")
    options = parser.parse_args()
    if options.trace:
        print(trace(asyncio.run(walk(KINDS[options.trace]))))
        return
    figures = {name: Figures.of(asyncio.run(walk(kind))) for name, kind in KINDS.items()}
    if options.json:
        print(json.dumps({name: each._asdict() for name, each in figures.items()}, indent=2))
    else:
        print(table(figures))


if __name__ == "__main__":
    main()
