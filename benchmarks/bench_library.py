"""Library figures: exact hits from memory at 1k, 10k and 100k entries, semantic hits, and the cost of a miss.

    python benchmarks/bench_library.py [--smoke]

Each figure stands beside a ceiling taken in the same run: BLAKE2b over the same prompt and a dict lookup for exact
hits, a bare tokenizer and onnxruntime call for semantic ones. Keys are asked in random order, every one is distinct,
and each round measures the ceiling and the cache in turn, in CPU time, which other programs do not stretch; the median
of the rounds' ratios is printed. Identity, events, statistics and the text guard are on, as by default.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import itertools
import random
import statistics
import time
from contextlib import AsyncExitStack

import numpy as np
import onnxruntime
import tokenizers

from semcache_core import SemanticCache
from semcache_onnx.options import OnnxOptions
from semcache_onnx.sources import locate

ROUNDS = 60
ASKED_A_ROUND = 1_000
WARMED_A_ROUND = 500
BUSY_ROUNDS = 9
MEMORY = {
    "vector_store": {"use": "memory"},
    "response_store": {"use": "memory", "max_bytes": 1 << 30},
    "semcache": {"jitter": 0.0},
}


def prompts(count: int) -> list[str]:
    """Return ``count`` distinct prompts of ordinary length."""
    return [
        f"How do I change the delivery address of order {number} when it has been shipped already, and who pays for it?"
        for number in range(count)
    ]


def ceiling(asked: list[str], held: dict[bytes, str]) -> float:
    """Return CPU seconds a prompt for BLAKE2b and a dict lookup."""
    began = time.thread_time()
    for prompt in asked:
        held[hashlib.blake2b(prompt.encode(), digest_size=16).digest()]
    return (time.thread_time() - began) / len(asked)


async def hits(cache: SemanticCache, asked: list[str]) -> float:
    """Return CPU seconds a prompt for an exact hit."""
    began = time.thread_time()
    for prompt in asked:
        await cache.lookup(prompt)
    return (time.thread_time() - began) / len(asked)


class Filled:
    """A cache that holds so many entries, beside the dict that is its ceiling."""

    def __init__(self, cache: SemanticCache, size: int) -> None:
        self._cache = cache
        self._texts = prompts(size)
        self._held = {hashlib.blake2b(text.encode(), digest_size=16).digest(): text for text in self._texts}
        self._asked = 0
        self.pairs: list[tuple[float, float]] = []

    async def fill(self) -> None:
        """Store an answer to every prompt."""
        for text in self._texts:
            await self._cache.store(text, "x" * 200)

    async def ask(self) -> None:
        """Measure the ceiling and the cache with the same prompts, drawn at random, after some that warm both up."""
        for count, counts in ((WARMED_A_ROUND, False), (ASKED_A_ROUND, True)):
            asked = random.sample(self._texts, count)
            pair = ceiling(asked, self._held), await hits(self._cache, asked)
            self._asked += count
            if counts:
                self.pairs.append(pair)

    def check(self) -> None:
        """Fail if anything that was measured was no hit."""
        assert self._cache.stats().hits["exact"] == self._asked


async def exact(sizes: list[int]) -> None:
    """Print exact hits from memory. The sizes take turns, so that whatever else the machine does meets all of them."""
    print(f"{'exact hit, memory, async API':44} {'ceiling':>9} {'semcache':>9} {'ratio':>6}")
    async with AsyncExitStack() as stack:
        filled = {}
        for size in sizes:
            cache = SemanticCache.from_config(MEMORY | {"semcache": {"match": "exact"}})
            filled[size] = Filled(await stack.enter_async_context(cache), size)
            await filled[size].fill()
        gc.collect()
        for _ in range(ROUNDS):
            for one in filled.values():
                await one.ask()
        for size, one in filled.items():
            one.check()
            show(f"{size:,} entries", one.pairs)
    few = filled[sizes[0]].pairs
    for size in sizes[1:]:
        grown = zip(few, filled[size].pairs, strict=True)
        bare, ours = zip(*((top / top_few, our / our_few) for (top_few, our_few), (top, our) in grown), strict=True)
        name = f"  {size:,} entries against {sizes[0]:,}"
        print(f"{name:44} {statistics.median(bare):8.2f}x {statistics.median(ours):8.2f}x")


class Bare:
    """The bundled model without anything around it: a tokenizer and an onnxruntime session of the same settings."""

    def __init__(self) -> None:
        files = locate(OnnxOptions())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._tokenizer = tokenizers.Tokenizer.from_file(str(files.tokenizer))
        self._tokenizer.no_padding()
        self._session = onnxruntime.InferenceSession(str(files.onnx), options, providers=["CPUExecutionProvider"])
        self._names = [declared.name for declared in self._session.get_inputs()]

    def embed(self, text: str) -> None:
        """Tokenize and run once."""
        ids = np.array([self._tokenizer.encode(text).ids])
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        self._session.run(None, {name: feeds[name] for name in self._names})


def questions(count: int) -> list[str]:
    """Return ``count`` distinct questions that differ in their words."""
    verbs = ["change", "update", "cancel", "renew", "download", "print", "share", "merge", "move", "delete"]
    nouns = [
        "address",
        "invoice",
        "password",
        "profile",
        "contract",
        "photo",
        "ticket",
        "calendar",
        "report",
        "signature",
    ]
    places = [
        "my account",
        "the mobile app",
        "our team space",
        "the billing portal",
        "an old device",
        "a shared folder",
    ]
    asked = [f"How do I {verb} the {noun} in {place}?" for verb in verbs for noun in nouns for place in places]
    return random.sample(asked, count)


async def semantic(count: int) -> None:
    """Print semantic hits with the bundled model, and what exact hits do meanwhile."""
    bare = Bare()
    async with SemanticCache.from_config(MEMORY) as cache:
        texts = questions(count)
        for prompt in texts:
            await cache.store(prompt, "x" * 200)
        reworded = [prompt.replace("How do I", "How can I") for prompt in texts]
        random.shuffle(reworded)
        pairs = []
        for prompt in reworded:
            began = time.perf_counter()
            bare.embed(prompt + " ")
            between = time.perf_counter()
            await cache.lookup(prompt)
            pairs.append((between - began, time.perf_counter() - between))
        answered = cache.stats().hits["semantic"]
        show(f"semantic lookup, bundled model ({answered} of {count} hit)", pairs)
        added = statistics.median(our - top for top, our in pairs)
        print(f"{'  added to the bare model call':44} {added * 1e3:18.2f} ms")
        await beside(cache, texts)


async def beside(cache: SemanticCache, texts: list[str]) -> None:
    """Print the rate of exact hits while another task embeds all the time, as a share of the idle rate."""
    idle = statistics.median([await hits(cache, texts) for _ in range(BUSY_ROUNDS)])

    async def embed_on() -> None:
        for number in itertools.count():
            await cache.lookup(f"How may the address of parcel number {number} be changed on its way to me?")

    task = asyncio.create_task(embed_on())
    busy = []
    for _ in range(BUSY_ROUNDS):
        began, asked = time.perf_counter(), 0
        while time.perf_counter() - began < 0.2:
            for prompt in texts[:100]:
                await cache.lookup(prompt)
            asked += 100
            await asyncio.sleep(0)
        busy.append((time.perf_counter() - began) / asked)
    task.cancel()
    await asyncio.wait([task])
    print(f"{'exact hits while embedding, share of idle rate':44} {idle / statistics.median(busy):23.2f}")


def show(name: str, pairs: list[tuple[float, float]]) -> None:
    """Print medians in microseconds and the median ratio."""
    ceilings, ours = zip(*pairs, strict=True)
    ratio = statistics.median(our / top for top, our in pairs)
    print(f"{name:44} {statistics.median(ceilings) * 1e6:8.2f}u {statistics.median(ours) * 1e6:8.2f}u {ratio:5.1f}x")


async def main(*, smoke: bool) -> None:
    """Print every figure."""
    await exact([1_000] if smoke else [1_000, 10_000, 100_000])
    await semantic(50 if smoke else 300)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--smoke", action="store_true", help="small sizes, for a smoke run")
    asyncio.run(main(smoke=parser.parse_args().smoke))
