"""How often the cache answers, and how often wrongly: replays streams of prompts through ``SemanticCache``.

    python benchmarks/quality.py --data ../shared/data

A stream is a file ``NAME.stream.jsonl.gz`` of ``{"t": prompt, "c": class}`` in replay order. Every prompt is looked
up; a miss is stored under the prompt with its class as the answer. A hit is right if the answer is the prompt's own
class. hit = hits / requests, wrong = wrong hits / requests. The embedder is the embedded default (semcache-onnx with
the bundled bge-small-en-v1.5), the preset ``balanced``.

The streams have no calendar: the rule by which texts about today match exactly only has nothing to protect in them and
costs hits. The first table and the curve have it off, the second table has it on, which is the default.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import runpy
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semcache_core import SemanticCache

STREAMS = ("traps", "banking77", "qqp", "mqp")
THRESHOLDS = (0.88, 0.90, 0.92, 0.93, 0.94, 0.96, 0.98)


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt of a stream and the class that its answer has."""

    text: str
    answer: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What a replay came to, as shares of all requests."""

    wrong: float
    hit: float
    lookup_ms: float


def read(path: Path) -> list[Request]:
    """Return the requests of a stream file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [Request(row["t"], row["c"]) for row in map(json.loads, lines)]


def configuration(*, guard: bool, volatile: bool, **cache: Any) -> dict[str, Any]:
    """Return the configuration of one replay: everything in memory, the embedded default embedder."""
    return {
        "semcache": cache | ({} if volatile else {"volatile": []}),
        "embedder": {"use": "onnx"},
        "vector_store": {"use": "memory"},
        "response_store": {"use": "memory"},
        "verifiers": {"use": ["text-guard"] if guard else []},
    }


async def replay(
    stream: Sequence[Request], config: dict[str, Any], thresholds: Sequence[float | None]
) -> list[Figures]:
    """Replay a stream through a fresh cache, once for each threshold (None: the preset's).

    The thresholds keep apart by their context and take turns at each prompt, so that it is embedded once.
    """
    hits, wrong = [0] * len(thresholds), [0] * len(thresholds)
    seconds = []
    async with SemanticCache.from_config(config) as cache:
        for request in stream:
            for place, threshold in enumerate(thresholds):
                begun = time.perf_counter()
                found = await cache.lookup(request.text, threshold=threshold, context=threshold)
                seconds.append(time.perf_counter() - begun)
                if found:
                    hits[place] += 1
                    wrong[place] += found.value != request.answer
                else:
                    await cache.store(request.text, request.answer, context=threshold)
    lookup_ms = 1e3 * statistics.median(seconds)
    return [Figures(bad / len(stream), all_ / len(stream), lookup_ms) for bad, all_ in zip(wrong, hits, strict=True)]


def balanced(streams: dict[str, list[Request]], *, volatile: bool) -> None:
    """Print the figures of the preset ``balanced``."""
    print(f"\npreset balanced{'' if volatile else ', volatile = []'}")
    print(f"{'stream':<12}{'requests':>9}{'wrong':>9}{'hit':>9}{'lookup, ms':>12}")
    config = configuration(guard=True, volatile=volatile, preset="balanced")
    for name, stream in streams.items():
        [figures] = asyncio.run(replay(stream, config, [None]))
        print(
            f"{name:<12}{len(stream):>9}{figures.wrong:>9.4f}{figures.hit:>9.4f}{figures.lookup_ms:>12.2f}", flush=True
        )


def curve(streams: dict[str, list[Request]], thresholds: Sequence[float]) -> dict[tuple[str, bool], list[Figures]]:
    """Print the figures at each threshold, with the guard and without, and return them."""
    print(f"\n{'wrong / hit':<26}{''.join(f'{threshold:>18.2f}' for threshold in thresholds)}")
    points: dict[tuple[str, bool], list[Figures]] = {}
    for name, stream in streams.items():
        for guard in (True, False):
            config = configuration(guard=guard, volatile=False, threshold=min(thresholds))
            row = points[name, guard] = asyncio.run(replay(stream, config, thresholds))
            label = f"{name}, {'text-guard' if guard else 'plain cosine'}"
            print(f"{label:<26}{''.join(f'{p.wrong:>10.4f} /{p.hit:>6.3f}' for p in row)}", flush=True)
    return points


def plot(points: dict[tuple[str, bool], list[Figures]], thresholds: Sequence[float], path: Path) -> None:
    """Draw wrong over hit, one panel a stream, one mark a threshold."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(name for name, _ in points))
    figure, panels = pyplot.subplots(1, len(names), figsize=(4.2 * len(names), 3.8), squeeze=False)
    for name, panel in zip(names, panels[0], strict=True):
        for guard, style in ((True, "o-"), (False, "x--")):
            row = points[name, guard]
            label = "text-guard" if guard else "plain cosine"
            panel.plot([p.hit for p in row], [p.wrong for p in row], style, label=label)
            for threshold, p in zip(thresholds, row, strict=True):
                panel.annotate(
                    f"{threshold:.2f}", (p.hit, p.wrong), fontsize=7, xytext=(3, 3), textcoords="offset points"
                )
        panel.set(title=name, xlabel="hit, share of requests", ylabel="wrong, share of requests")
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    print(f"\nplot written to {path}")


def main() -> None:
    """Read the arguments, replay, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the stream files")
    parser.add_argument("--streams", nargs="+", default=STREAMS)
    parser.add_argument("--thresholds", nargs="*", type=float, default=THRESHOLDS, help="none given: no curve")
    parser.add_argument(
        "--plot",
        type=Path,
        default=Path(__file__).parent / "out" / "quality.png",
        help="PNG file of the curve (needs matplotlib)",
    )
    arguments = parser.parse_args()
    streams = {name: read(arguments.data / f"{name}.stream.jsonl.gz") for name in arguments.streams}
    balanced(streams, volatile=False)
    balanced(streams, volatile=True)
    guard = runpy.run_path(str(Path(__file__).with_name("guard.py")))
    print(guard["report"]([[request.text for request in stream] for stream in streams.values()]))
    if arguments.thresholds:
        points = curve(streams, sorted(arguments.thresholds))
        arguments.plot.parent.mkdir(parents=True, exist_ok=True)
        plot(points, sorted(arguments.thresholds), arguments.plot)


if __name__ == "__main__":
    main()
