"""What the text guard makes of pairs of texts: different questions that it lets through, rewordings it turns down.

    python benchmarks/pairs.py [--threshold 0.93] [--list]

``data/pairs.jsonl`` holds five sets of pairs, written for this without sight of the rules: in half of the first four
one meaningful thing differs, the others say the same in other words. Each pair is a cache of its own: one text is
stored, the other asked. A rule is general if it moves the figures of a set that was written after it; what a set has
shown is then mended, so the figures flatter the rules by and by.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from semcache_core import SemanticCache

PAIRS = Path(__file__).parent / "data" / "pairs.jsonl"


class Pair(msgspec.Struct, frozen=True):
    """Two texts, and whether one answer is right for both."""

    set: int
    same: bool
    kind: str
    stored: str
    asked: str


class Outcome(msgspec.Struct, frozen=True):
    """What became of a pair: whether cosine alone would have answered, whether the guard let it."""

    pair: Pair
    near: bool
    answered: bool


def read(path: Path) -> list[Pair]:
    """Return the pairs of a file."""
    return [msgspec.convert(json.loads(line), Pair) for line in path.read_text("utf-8").splitlines()]


async def judged(pairs: Sequence[Pair], threshold: float, *, guard: bool) -> list[bool]:
    """Return for each pair whether the stored text's answer was given to the asked one."""
    config = {
        "semcache": {"threshold": threshold, "volatile": []},
        "vector_store": {"use": "memory"},
        "response_store": {"use": "memory"},
        "verifiers": {"use": ["text-guard"] if guard else []},
    }
    answered = []
    async with SemanticCache.from_config(config) as cache:
        for number, pair in enumerate(pairs):
            await cache.store(pair.stored, "answer", context=number)
            answered.append(bool(await cache.lookup(pair.asked, context=number)))
    return answered


def show(name: str, outcomes: Iterable[Outcome]) -> None:
    """Print one row."""
    cells = []
    for same in (False, True):
        chosen = [outcome for outcome in outcomes if outcome.pair.same is same]
        cells += [len(chosen), sum(o.near for o in chosen), sum(o.answered for o in chosen)]
    print(f"{name:<8}" + "".join(f"{cell:>10,}" for cell in cells))


async def main(path: Path, *, threshold: float, every: int, listed: bool) -> None:
    """Judge the pairs and print the table."""
    pairs = read(path)[::every]
    near = await judged(pairs, threshold, guard=False)
    answered = await judged(pairs, threshold, guard=True)
    outcomes = [Outcome(*each) for each in zip(pairs, near, answered, strict=True)]
    print(f"{'':<8}{'different:':>10}{'cosine':>10}{'guard':>10}{'same:':>10}{'cosine':>10}{'guard':>10}")
    for number in sorted({pair.set for pair in pairs}):
        show(f"set {number}", [outcome for outcome in outcomes if outcome.pair.set == number])
    show("all", outcomes)
    if listed:
        for outcome in outcomes:
            if outcome.near and outcome.answered != outcome.pair.same:
                pair = outcome.pair
                print(f"{'lost' if pair.same else 'WRONG'} [{pair.kind}] {pair.stored} | {pair.asked}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=PAIRS, help="JSON lines of the same form")
    parser.add_argument("--threshold", type=float, default=0.93)
    parser.add_argument("--list", action="store_true", help="print the pairs that came out wrong")
    parser.add_argument("--smoke", action="store_true", help="few of the pairs")
    given = parser.parse_args()
    asyncio.run(main(given.data, threshold=given.threshold, every=100 if given.smoke else 1, listed=given.list))
