"""Helpers of several contracts: ids, vectors of known cosine, and a check that the event loop keeps running."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from semcache_core.protocols import (
    SupportsGetNowait,
    SupportsInvalidation,
    SupportsNotices,
    SupportsScan,
    SupportsScopes,
    SupportsSecret,
    SupportsSetNowait,
    SupportsSweep,
)
from semcache_core.types import Vector

START = 4_102_444_800.0
"""The kit's present: 1 January 2100. Later than any server's clock, so entries expire only by the ``now`` passed in."""

POWERS: tuple[type, ...] = (
    SupportsGetNowait,
    SupportsSetNowait,
    SupportsInvalidation,
    SupportsScopes,
    SupportsScan,
    SupportsSweep,
    SupportsSecret,
    SupportsNotices,
)


def ident(name: str) -> bytes:
    """Return the entry id of ``name``: 16 bytes of any value, like the core's. Tags have the same form."""
    return hashlib.sha256(name.encode()).digest()[:16]


def scope_of(name: str) -> bytes:
    """Return the scope of ``name``: 32 bytes, like the core's."""
    return hashlib.sha256(name.encode()).digest()


def towards(similarity: float, *, dimensions: int, axis: int = 1) -> Vector:
    """Return the unit vector whose cosine with the first axis is ``similarity``, turned towards ``axis``."""
    vector = np.zeros(dimensions, dtype=np.float32)
    vector[0] = similarity
    vector[axis] = np.sqrt(max(0.0, 1.0 - similarity * similarity))
    return vector


def random_units(count: int, *, dimensions: int, seed: int = 1) -> Vector:
    """Return ``count`` random unit vectors, shape (count, dimensions), the same for the same seed."""
    drawn = np.random.default_rng(seed).standard_normal((count, dimensions)).astype(np.float32)
    units: Vector = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return units


async def within_a_second(check: Callable[[], Awaitable[bool]]) -> bool:
    """Return whether ``check`` becomes true within a second."""
    end = time.perf_counter() + 1.0
    while not await check():
        if time.perf_counter() > end:
            return False
        await asyncio.sleep(0.01)
    return True


async def cut_off(work: Coroutine[Any, Any, object], *, after: int) -> None:
    """Start ``work``, run ``after`` loop iterations, cancel it and wait for its end."""
    task = asyncio.ensure_future(work)
    for _ in range(after):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@dataclass
class Pulse:
    """The longest time, in seconds, for which the event loop was blocked."""

    longest: float = 0.0


@asynccontextmanager
async def pulse() -> AsyncIterator[Pulse]:
    """Measure how long the event loop is blocked while the ``async with`` body runs."""
    measured = Pulse()
    last = time.perf_counter()

    def note() -> None:
        nonlocal last
        now = time.perf_counter()
        measured.longest = max(measured.longest, now - last)
        last = now

    async def beat() -> None:
        while True:
            await asyncio.sleep(0.002)
            note()

    heart = asyncio.create_task(beat())
    try:
        yield measured
    finally:
        note()
        heart.cancel()
        await asyncio.gather(heart, return_exceptions=True)
