"""Which worlds a run consists of, and how they are spread over processes."""

from __future__ import annotations

import logging
import multiprocessing
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from .setups import SETUPS, Setup
from .world import Result, Run, run

WORLD = 2500
"""Requests of one world: enough for a cache to fill, and few enough to be kept whole."""
_BATCH = 40
"""Worlds that one process runs before another takes over."""


def worlds(requests: int, seed: int, *, setups: Sequence[Setup] = SETUPS, hazards: bool = True) -> Iterator[Run]:
    """Yield worlds with ``requests`` in all, each set-up by its share."""
    whole = sum(setup.share for setup in setups)
    for setup in setups:
        left = max(1, requests * setup.share // whole)
        for number in range(-(-left // WORLD)):
            yield Run(setup, seed, number, min(WORLD, left - number * WORLD), hazards)


def in_processes(plan: Sequence[Run], *, processes: int, on_progress: Callable[[int], None]) -> dict[str, list[Result]]:
    """Run all worlds, so many at once; return their results by set-up."""
    results: dict[str, list[Result]] = defaultdict(list)
    # Spawned, not forked: a world starts threads.
    context = multiprocessing.get_context("spawn")
    # New processes for each batch, by hand: Python 3.11 hangs where `max_tasks_per_child` renews them (gh-115634).
    for at in range(0, len(plan), _BATCH * processes):
        with ProcessPoolExecutor(processes, mp_context=context, initializer=quiet) as pool:
            running = {pool.submit(run, each): each for each in plan[at : at + _BATCH * processes]}
            for done in as_completed(running):
                results[running[done].setup.name].append(done.result())
                on_progress(running[done].requests)
    return results


def quiet() -> None:
    """Say nothing of what each world's cache has to say of its configuration."""
    logging.getLogger("semcache").setLevel(logging.CRITICAL)
