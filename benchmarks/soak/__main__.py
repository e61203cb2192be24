"""A steady mixed load on real proxies for an hour: do memory, descriptors, threads and the file stay flat?

    python benchmarks/soak --minutes 60 [--rate 60] [--plot soak.svg] [--smoke]

Two `semcache serve` processes share one SQLite file, with the bundled small model and the text guard; the upstream is
a process of its own, and is restarted now and then; `semcache purge` runs beside them. Everything that is bounded is
bounded low, so that each bound is reached in the first third; the verdict is about the rest. It runs on Linux only, for
it reads /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
from processes import Site

TOPICS = ("invoice", "refund", "password", "delivery", "account", "parcel", "contract", "warranty", "coupon", "seat")
VERBS = ("change", "cancel", "order", "return", "repair", "track")
ALLOWED = {"rss MiB": 20.0, "descriptors": 6.0, "threads": 2.0, "file MiB": 2.0, "wal MiB": 2.0}
"""By so much a series may drift in an hour, or its interval hold 0, to be called flat."""
CALLERS = 500
PURGED_EVERY, RESTARTED_EVERY = 300.0, 420.0
"""Seconds."""


class Sample(NamedTuple):
    """What one look at the proxies said."""

    second: float
    figures: dict[str, float]


# -- the load ---------------------------------------------------------------------------------------------------------


class Load:
    """Sends requests at a steady rate, and counts how each was answered."""

    def __init__(self, site: Site, *, rate: float, seed: int) -> None:
        self.site, self.rate, self.random = site, rate, random.Random(seed)
        self.outcomes: Counter[str] = Counter()
        self.milliseconds: list[float] = []
        self._running: set[asyncio.Task[None]] = set()
        self._fresh = 0

    async def run(self, seconds: float) -> None:
        """Send for so long; arrivals are random, their rate is not."""
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=50)
        async with httpx.AsyncClient(limits=limits, timeout=20) as client:
            end = time.monotonic() + seconds
            due = time.monotonic()
            while due < end:
                # Time in which this process was held up is lost: to catch up would be a burst.
                due = max(due, time.monotonic() - 1) + self.random.expovariate(self.rate)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if len(self._running) < 300:
                    task = asyncio.create_task(self._one(client))
                    self._running.add(task)
                    task.add_done_callback(self._running.discard)
                else:
                    self.outcomes["not sent"] += 1
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _one(self, client: httpx.AsyncClient) -> None:
        url = self.random.choice(self.site.urls)
        began = time.monotonic()
        try:
            outcome = await self._ask(client, url)
        except httpx.HTTPError as error:
            outcome = type(error).__name__
        self.outcomes[outcome] += 1
        self.milliseconds.append(1000 * (time.monotonic() - began))

    async def _ask(self, client: httpx.AsyncClient, url: str) -> str:
        chance, path = self.random.random(), "/v1/chat/completions"
        if chance < 0.02:
            return f"{(await client.get(url + '/v1/models', headers={'x-script': '404'})).status_code} unclaimed"
        if chance < 0.03:
            answer = await client.post(url + path, content=b'{"model": "m", "model": ', headers=self._headers())
            return f"garbage {answer.headers.get('x-cache')}"
        streamed = self.random.random() < 0.3
        said = {"model": "m", "messages": [{"role": "user", "content": self._text()}], "stream": streamed}
        body = json.dumps(said).encode()
        if streamed and chance < 0.08:
            async with client.stream("POST", url + path, content=body, headers=self._headers()) as cut:
                async for _ in cut.aiter_raw():
                    break
            return "left"
        answer = await client.post(url + path, content=body, headers=self._headers())
        return f"{answer.status_code} {answer.headers.get('x-cache')}"

    def _headers(self) -> dict[str, str]:
        """Return who asks, and how: hundreds of callers, few of them often."""
        caller = int(self.random.paretovariate(0.7)) % CALLERS
        headers = {"content-type": "application/json", "authorization": f"Bearer sk-{caller}"}
        chance = self.random.random()
        if chance < 0.03:
            headers["authorization"] = f"Bearer bad-{caller % 20}"
            headers["x-script"] = self.random.choice(("401", "429", "500"))
        elif chance < 0.05:
            headers["cache-control"] = "no-cache"
        elif chance < 0.06:
            headers[f"x-made-up-{self.random.randrange(10**6)}"] = "1"
        return headers

    def _text(self) -> str:
        choose, chance = self.random.choice, self.random.random()
        question = f"How do I {choose(VERBS)} my {choose(TOPICS)}"
        if chance < 0.4:
            return f"{question}?"
        if chance < 0.6:
            return f"Please tell me: {question.lower()}, and what does it cost?"
        if chance < 0.98:
            self._fresh += 1
            return f"{question} number {self._fresh}?"
        return question + " word" * self.random.choice((300, 20_000, 250_000))

    def quantile(self, q: float) -> float:
        """Return a quantile of the milliseconds since the last look."""
        return float(np.quantile(self.milliseconds, q)) if self.milliseconds else 0.0


async def soak(site: Site, load: Load, *, minutes: float, every: float) -> list[Sample]:
    """Run the load and look at the proxies meanwhile; return what was seen."""
    samples: list[Sample] = []
    began = time.monotonic()
    running = asyncio.create_task(load.run(minutes * 60))
    purge_at, restart_at, told_at = PURGED_EVERY, RESTARTED_EVERY, 0.0
    while not running.done():
        await asyncio.wait([running], timeout=every)
        if running.done():
            break  # What is seen after the load is not of it.
        sample = await _look(site, load, time.monotonic() - began)
        samples.append(sample)
        if sample.second >= told_at:
            told_at += 60
            print(f"{sample.second:6.0f} s ", *(f"{name} {value:,.1f} " for name, value in sample.figures.items()))
        if sample.second >= purge_at:
            purge_at += PURGED_EVERY
            load.outcomes[f"purge exit {await site.purge()}"] += 1
        if sample.second >= restart_at:
            restart_at += RESTARTED_EVERY
            site.stop_upstream()
            await asyncio.sleep(2)
            site.start_upstream()
    await running
    return samples


async def _look(site: Site, load: Load, second: float) -> Sample:
    """Return what the proxies look like now, from outside and by their own pages."""
    figures = site.figures() | {"p50 ms": load.quantile(0.5), "p99 ms": load.quantile(0.99)}
    load.milliseconds.clear()
    async with httpx.AsyncClient(timeout=20) as client:
        stats = [(await client.get(f"{url}/.semcache/stats")).json() for url in site.urls]
    figures["requests"] = sum(each["requests"] for each in stats)
    figures["hits"] = sum(sum(each["hits"].values()) for each in stats)
    return Sample(second, figures)


# -- the verdict ------------------------------------------------------------------------------------------------------


class Trend(NamedTuple):
    """The least-squares slope of a series, an hour, and half its 95 % interval."""

    mean: float
    slope: float
    margin: float


def trend(seconds: Sequence[float], values: Sequence[float]) -> Trend:
    """Return the trend of the last two thirds of a series.

    Neighbouring samples are alike; the interval counts as many independent ones as their correlation leaves.
    """
    keep = len(values) // 3
    x, y = np.asarray(seconds[keep:]) / 3600, np.asarray(values[keep:])
    if len(y) < 4:
        return Trend(float(np.mean(values)), 0.0, 0.0)
    slope, offset = np.polyfit(x, y, 1)
    rest = y - (slope * x + offset)
    power = float(rest @ rest)
    alike = max(0.0, float(rest[1:] @ rest[:-1]) / power) if power else 0.0
    independent = max(3.0, len(y) * (1 - alike) / (1 + alike))
    error = np.sqrt(power / len(y) * independent / (independent - 2) / (independent * np.var(x)))
    return Trend(float(np.mean(y)), float(slope), float(2 * error))


def verdict(samples: Sequence[Sample]) -> bool:
    """Print the trends; return whether everything is flat."""
    seconds = [sample.second for sample in samples]
    flat = True
    print(f"\n{'':14}{'first':>10}{'last':>10}{'mean':>10}{'slope an hour':>16}{'+-':>10}")
    for name in samples[-1].figures:
        values = [sample.figures.get(name, 0.0) for sample in samples]
        found = trend(seconds, values)
        word = ""
        if name in ALLOWED:
            grows = found.slope - found.margin > 0 and found.slope > ALLOWED[name]
            flat, word = flat and not grows, "GROWS" if grows else "flat"
        ends = f"{name:14}{values[0]:10.1f}{values[-1]:10.1f}{found.mean:10.1f}"
        print(f"{ends}{found.slope:16.2f}{found.margin:10.2f}  {word}")
    return flat


def plot(samples: Sequence[Sample], path: Path) -> None:
    """Draw every series over time."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    names = [*ALLOWED, "p50 ms", "p99 ms"]
    figure, axes = pyplot.subplots(len(names), 1, sharex=True, figsize=(9, 1.6 * len(names)))
    for name, axis in zip(names, axes, strict=True):
        values = [sample.figures[name] for sample in samples]
        axis.plot([sample.second / 60 for sample in samples], values, lw=1)
        axis.set_ylabel(name)
        axis.set_ylim(0, 1.1 * max(*values, 1))
        axis.axvline(samples[-1].second / 180, color="grey", lw=0.5)
    axes[-1].set_xlabel("minutes; the verdict is about what is right of the line")
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=60.0, help="requests a second")
    parser.add_argument("--proxies", type=int, default=2)
    parser.add_argument("--max-bytes", default="16 MiB")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two samples")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--samples", type=Path, help="write every sample, as CSV")
    parser.add_argument("--smoke", action="store_true", help="a few seconds, only to see that it works")
    options = parser.parse_args()
    if options.smoke:
        options.minutes, options.every, options.rate = 0.15, 1.0, 20.0
    with (
        tempfile.TemporaryDirectory(prefix="semcache-soak-") as folder,
        Site(Path(folder), proxies=options.proxies, max_bytes=options.max_bytes) as site,
    ):
        load = Load(site, rate=options.rate, seed=options.seed)
        samples = asyncio.run(soak(site, load, minutes=options.minutes, every=options.every))
    print("\nanswers:", ", ".join(f"{count:,} {name}" for name, count in load.outcomes.most_common()))
    if options.samples:
        with options.samples.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["second", *samples[-1].figures], restval="")
            writer.writeheader()
            writer.writerows({"second": f"{sample.second:.1f}", **sample.figures} for sample in samples)
    if options.plot:
        plot(samples, options.plot)
    flat = verdict(samples)
    if options.smoke:
        print("\nit works; so short a run says nothing of trends")
        return
    print("\nflat" if flat else "\nnot flat")
    if not flat:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
