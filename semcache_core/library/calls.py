"""Runs a caller's function, async or plain, and returns a raised DoNotCache as its answer."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from semcache_core.engine.payloads import DoNotCache


async def uncached(call: Callable[[], Any]) -> Any:
    """Return the result of ``call``, without a cache."""
    return value_of(await caught_async(call))


def uncached_blocking(call: Callable[[], Any]) -> Any:
    """Return the result of a plain ``call``, without a cache."""
    return value_of(caught(call))


def caught(call: Callable[[], Any]) -> Any:
    """Return the result of a plain ``call``, or the DoNotCache that it raises."""
    try:
        return call()
    except DoNotCache as signal:
        return signal


async def caught_async(call: Callable[[], Any]) -> Any:
    """Return the result of ``call``, or the DoNotCache that it raises. A plain function runs in a thread."""
    try:
        if inspect.iscoroutinefunction(call):
            return await call()
        answer = await asyncio.to_thread(_without_stop, call)
        return await answer if inspect.isawaitable(answer) else answer
    except DoNotCache as signal:
        return signal


def _without_stop(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except StopIteration as stop:
        # A future cannot hold a StopIteration: its waiter would wait for ever.
        raise RuntimeError("the call raised StopIteration") from stop


def value_of(answer: Any) -> Any:
    """Return the value that the caller of a function receives for its answer."""
    return answer.value if isinstance(answer, DoNotCache) else answer
