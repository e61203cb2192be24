"""Calling what a program hands over: async or plain, with DoNotCache as an answer."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from semcache_core.engine.payloads import DoNotCache


async def uncached(call: Callable[[], Any]) -> Any:
    """Return what ``call`` returns: there is no cache to ask."""
    return value_of(await caught_async(call))


def uncached_blocking(call: Callable[[], Any]) -> Any:
    """Return what a plain ``call`` returns: there is no cache to ask."""
    return value_of(caught(call))


def caught(call: Callable[[], Any]) -> Any:
    """Return what a plain ``call`` returns, or the DoNotCache that it raises."""
    try:
        return call()
    except DoNotCache as signal:
        return signal


async def caught_async(call: Callable[[], Any]) -> Any:
    """Return what ``call`` returns, or the DoNotCache that it raises. A plain function runs in a thread."""
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
        # No future can hold it: the caller would wait for ever.
        raise RuntimeError("the call raised StopIteration") from stop


def value_of(answer: Any) -> Any:
    """Return what the caller of a function gets for its answer."""
    return answer.value if isinstance(answer, DoNotCache) else answer
