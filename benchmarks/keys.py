"""What the key of a chat body costs, held against hashing the same bytes and looking them up.

    python benchmarks/keys.py [--bodies 10000] [--rounds 5]

Bytes of the body in, ``Query`` out (entry id, exact digest; what only a miss needs is not computed), for bodies of 0.3,
5 and 30 kB, with and without tools, written as the openai SDK writes them (compact) and as ``json.dumps`` does by
default. Headers are classified and the partition is known: their cost is the last row. The ceiling is ``blake2b`` over
the same bytes plus a dict get. Every body is distinct; bodies are taken in random order; rounds of key and ceiling
alternate on the same bodies, and each figure is the median of the rounds. Time is processor time of this process, which
other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from semcache_core.keys.digests import Digests
from semcache_core.keys.http import HttpKeys, ResolvedCaller
from semcache_core.keys.identity import Target
from semcache_core.keys.python import PythonKeys
from semcache_core.settings import HttpOptions, Policy
from semcache_core.types import LLM, Key, Request
from semcache_openai.chat import OpenAIChat

COMPACT: dict[str, Any] = {"separators": (",", ":"), "ensure_ascii": False}
DEFAULT: dict[str, Any] = {}
PATH = b"/v1/chat/completions"
TEXT = "the order of a customer who asked about delivery returns refunds invoices and the price of “blue” shoes"
WORDS = TEXT.split(" ")
HEADERS = [
    (b"host", b"localhost:8080"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"connection", b"keep-alive"),
    (b"accept", b"application/json"),
    (b"content-type", b"application/json"),
    (b"user-agent", b"OpenAI/Python 3.1.0"),
    (b"x-stainless-lang", b"python"),
    (b"x-stainless-os", b"Linux"),
    (b"x-stainless-arch", b"x64"),
    (b"x-stainless-async", b"false"),
    (b"authorization", b"Bearer sk-abcdefghijklmnopqrstuvwxyz"),
    (b"content-length", b"300"),
]
TARGET = Target(
    namespace="default",
    protocol="openai-chat",
    method="POST",
    scheme="http",
    mount="",
    path=PATH,
    upstream="https://llm.example",
)


def words(rng: random.Random, size: int) -> str:
    """Return about ``size`` bytes of words."""
    text: list[str] = []
    while size > 0:
        text.append(rng.choice(WORDS))
        size -= len(text[-1]) + 1
    return " ".join(text)


def tool(rng: random.Random) -> dict[str, Any]:
    """Return a function of about 400 bytes."""
    properties = {f"field_{n}": {"type": "string", "description": words(rng, 40)} for n in range(3)}
    function = {"name": f"tool_{rng.randrange(10**6)}", "description": words(rng, 60)}
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {**function, "parameters": parameters}}


def body(rng: random.Random, size: int, *, tools: bool) -> dict[str, Any]:
    """Return a chat body of about ``size`` bytes: turns of at most 1 kB, a third of the bytes in tools where asked."""
    members: dict[str, Any] = {"messages": [], "model": "gpt-4o-mini", "temperature": 0.2, "stream": True}
    if tools:
        members["tools"] = [tool(rng) for _ in range(max(1, size // 3 // 500))]
    left = size - len(json.dumps(members)) - 60
    turns = max(1, left // 1000)
    for turn in range(2 * (turns // 2) + 1):
        role = "assistant" if turn % 2 else "user"
        members["messages"].append({"role": role, "content": words(rng, max(20, left // (turns + 1)))})
    members["messages"].insert(0, {"role": "system", "content": words(rng, 40) + str(rng.random())})
    return members


def seconds_each(call: Callable[[bytes], object], bodies: Sequence[bytes]) -> float:
    """Return seconds a call, over all bodies once."""
    started = time.process_time()
    for each in bodies:
        call(each)
    return (time.process_time() - started) / len(bodies)


def compare(call: Callable[[bytes], object], bodies: list[bytes], rounds: int) -> tuple[float, float, float]:
    """Return microseconds of the ceiling and of ``call``, and the median ratio of the rounds."""
    held: dict[bytes, int] = {hashlib.blake2b(each, digest_size=16).digest(): 1 for each in bodies}

    def ceiling(each: bytes) -> object:
        return held.get(hashlib.blake2b(each, digest_size=16).digest())

    pairs = []
    for _ in range(rounds):
        random.shuffle(bodies)
        pairs.append((seconds_each(ceiling, bodies), seconds_each(call, bodies)))
    ratio = statistics.median(cost / best for best, cost in pairs)
    return 1e6 * statistics.median(p[0] for p in pairs), 1e6 * statistics.median(p[1] for p in pairs), ratio


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bodies", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--smoke", action="store_true", help="small sizes: shows that it works, not how fast it is")
    options = parser.parse_args()
    if options.smoke:
        options.bodies, options.rounds = 100, 1
    rng = random.Random(7)
    digests = Digests(b"benchmark secret of many bytes")
    keys, chat, policy = HttpKeys(digests, options=HttpOptions()), OpenAIChat(), Policy()
    admitted = keys.admit(TARGET, HEADERS, now=0.0)
    assert isinstance(admitted, ResolvedCaller)
    place = ("default", "openai-chat", "POST", "http", "", PATH, b"", "https://llm.example")

    def key(raw: bytes) -> object:
        made = chat.extract(Request(method="POST", path=PATH, body=raw))
        assert isinstance(made, Key)
        return keys.query(made, admitted, policy=policy)

    def alias(raw: bytes) -> object:
        return keys.digests.alias(keys.canonical_head(place, HEADERS, traits=LLM), raw)

    def head(_: bytes) -> object:
        return keys.admit(TARGET, HEADERS, now=0.0)

    print(f"{'body':<26}{'bytes':>7}{'ceiling':>10}{'key':>10}{'ratio':>8}{'alias':>10}{'ratio':>8}   (microseconds)")
    small: list[bytes] = []
    for label, size, tools, style in (
        (f"{size / 1000:g} kB{', tools' if tools else ''}{note}", size, tools, style)
        for style, note in ((COMPACT, ""), (DEFAULT, ", json.dumps"))
        for tools in (False, True)
        for size in (300, 5_000, 30_000)
    ):
        # 30 kB of 10,000 bodies are 300 MB: fewer of them still never fit a cache of the processor.
        count = options.bodies if size < 30_000 else max(1, options.bodies // 5)
        bodies = [json.dumps(body(rng, size, tools=tools), **style).encode() for _ in range(count)]
        small = small or bodies
        best, cost, ratio = compare(key, bodies, options.rounds)
        _, short, short_ratio = compare(alias, bodies, options.rounds)
        mean = statistics.mean(map(len, bodies))
        print(f"{label:<26}{mean:>7.0f}{best:>10.2f}{cost:>10.2f}{ratio:>8.1f}{short:>10.2f}{short_ratio:>8.1f}")
    library = PythonKeys(digests, policy=policy)
    prompts = [raw.decode()[:80] + str(n) for n, raw in enumerate(small)]
    calls = dict(zip(small, prompts, strict=True))
    best, cost, ratio = compare(lambda raw: library.of(calls[raw]), list(calls), options.rounds)
    print(f"{'library call, 80 bytes':<26}{'':>7}{'':>10}{cost:>10.2f}")
    best, cost, ratio = compare(head, list(calls), options.rounds)
    print(f"{'headers (12) + partition':<26}{'':>7}{'':>10}{cost:>10.2f}")


if __name__ == "__main__":
    main()
