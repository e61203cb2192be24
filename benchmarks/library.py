"""Library figures: exact hits from memory at 1k, 10k and 100k entries, semantic hits, and the cost of a miss.

    python benchmarks/library.py [--quick]

Each figure stands beside a ceiling taken in the same run: BLAKE2b over the same prompt and a dict lookup for exact
hits, a bare tokenizer and onnxruntime call for semantic ones. Keys are asked in random order, every one is distinct,
and each round measures the ceiling and the cache in turn; the median of the rounds' ratios is printed. Identity,
events, statistics and the text guard are on, as by default.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import statistics
import time
from collections.abc import Awaitable, Callable

from semcache_core import SemanticCache

ROUNDS = 9
ASKED_A_ROUND = 5_000
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
    """Return seconds a prompt for BLAKE2b and a dict lookup."""
    began = time.perf_counter()
    for prompt in asked:
        held[hashlib.blake2b(prompt.encode(), digest_size=16).digest()]
    return (time.perf_counter() - began) / len(asked)


async def hits(cache: SemanticCache, asked: list[str]) -> float:
    """Return seconds a prompt for an exact hit."""
    began = time.perf_counter()
    for prompt in asked:
        await cache.lookup(prompt)
    return (time.perf_counter() - began) / len(asked)


async def exact(sizes: list[int]) -> None:
    """Print exact hits from memory."""
    print(f"{'exact hit, memory, async API':44} {'ceiling':>9} {'semcache':>9} {'ratio':>6}")
    for size in sizes:
        texts = prompts(size)
        held = {hashlib.blake2b(prompt.encode(), digest_size=16).digest(): prompt for prompt in texts}
        async with SemanticCache.from_config(MEMORY | {"semcache": {"match": "exact"}}) as cache:
            for prompt in texts:
                await cache.store(prompt, "x" * 200)
            random.shuffle(texts)
            pairs = []
            for round_ in range(ROUNDS):
                start = round_ * ASKED_A_ROUND % max(1, size - ASKED_A_ROUND + 1)
                asked = texts[start : start + ASKED_A_ROUND]
                pairs.append((ceiling(asked, held), await hits(cache, asked)))
            assert cache.stats().hits["exact"] == sum(len(texts[:ASKED_A_ROUND]) for _ in range(ROUNDS))
        show(f"{size:,} entries", pairs)


async def semantic(count: int) -> None:
    """Print semantic hits with the bundled model, and exact hits while they run."""
    from semcache_onnx.embedder import OnnxEmbedder

    async with SemanticCache.from_config(MEMORY) as cache, OnnxEmbedder(OnnxEmbedder.Options()) as bare:
        texts = prompts(count)
        for prompt in texts:
            await cache.store(prompt, "x" * 200)
        reworded = [prompt.replace("How do I", "How can I") for prompt in texts]
        random.shuffle(reworded)
        pairs = []
        for prompt in reworded:
            pairs.append(
                (await timed(lambda p=prompt: embed(bare, p + "?")), await timed(lambda p=prompt: cache.lookup(p)))
            )
        show(f"semantic lookup, bundled model ({cache.stats().hits['semantic']}/{count} hits)", pairs)


async def embed(bare: object, text: str) -> None:
    """Call tokenizer and onnxruntime without anything around them."""
    bare.embed_here([text])  # type: ignore[attr-defined]


async def timed(call: Callable[[], Awaitable[object]]) -> float:
    """Return seconds that one awaited call takes."""
    began = time.perf_counter()
    await call()
    return time.perf_counter() - began


def show(name: str, pairs: list[tuple[float, float]]) -> None:
    """Print medians in microseconds and the median ratio."""
    ceilings, ours = zip(*pairs, strict=True)
    ratio = statistics.median(our / top for top, our in pairs)
    print(f"{name:44} {statistics.median(ceilings) * 1e6:8.2f}u {statistics.median(ours) * 1e6:8.2f}u {ratio:5.1f}x")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="small sizes, for a smoke run")
    quick = parser.parse_args().quick
    asyncio.run(exact([1_000] if quick else [1_000, 10_000, 100_000]))
