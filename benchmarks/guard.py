"""What ``text-guard`` costs: microseconds a pair of texts that it has not seen before.

    python benchmarks/guard.py FILE.txt          # one prompt a line

The pairs are neighbours in length, which is the worst case: nothing about them is decided early by their size.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from semcache_text_guard.compare import compare
from semcache_text_guard.reading.parse import parse

PAIRS = 3000


def costs(texts: Sequence[str], *, rounds: int = 3) -> list[float]:
    """Return the seconds of each comparison of two fresh texts, the best of some rounds, sorted."""
    drawn = random.Random(7).sample(texts, min(len(texts), PAIRS))
    ordered = sorted(drawn, key=len)
    best = [float("inf")] * (len(ordered) - 1)
    for _ in range(rounds):
        for place, (one, other) in enumerate(pairwise(ordered)):
            parse.cache_clear()
            begun = time.perf_counter()
            compare(one, other)
            best[place] = min(best[place], time.perf_counter() - begun)
    return sorted(best)


def report(streams: Iterable[Sequence[str]]) -> str:
    """Return a line a stream with the cost of a pair."""
    lines = [f"\ntext-guard, us a pair{'words':>9}{'median':>9}{'p95':>9}"]
    for texts in streams:
        seconds = costs(texts)
        words = statistics.median(len(text.split()) for text in texts)
        median, p95 = 1e6 * statistics.median(seconds), 1e6 * seconds[int(0.95 * len(seconds))]
        lines.append(f"{'':<21}{words:>9.0f}{median:>9.1f}{p95:>9.1f}")
    return "\n".join(lines)


def prompts(name: str) -> list[str]:
    """Return the lines of a file; argparse reports what it raises."""
    try:
        texts = Path(name).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"cannot read {name!r} as text: {error}") from error
    if len(texts) < 2:
        raise argparse.ArgumentTypeError(f"{name!r} holds {len(texts)} prompts, one a line; a pair needs two")
    return texts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=prompts, help="text file with one prompt a line, some hundreds of them")
    print(report([parser.parse_args().file]))
