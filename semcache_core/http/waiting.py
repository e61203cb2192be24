"""An equal request that is upstream already: wait for its answer, and get it from the first byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from enum import Enum
from typing import Any

from semcache_core.engine.single_flight import Flight, FlightFailed
from semcache_core.errors import AnswerAborted
from semcache_core.http import headers as rules
from semcache_core.http import status
from semcache_core.http.recording import Shared
from semcache_core.http.visit import Visit


class Ending(Enum):
    """How waiting ended."""

    SERVED = "served"
    """The caller has its answer, or is gone."""
    AGAIN = "again"
    """The leader failed: board once more."""
    ALONE = "alone"
    """Nothing here may be shared with this caller, or nothing came: ask upstream oneself."""


async def wait_for(visit: Visit, flight: Flight[Any]) -> Ending:
    """Send the answer that the flight brings to this visit's caller, as it comes. Raises AnswerAborted."""
    items = flight.items(patience=visit.engine.limits.waiter_patience)
    leaving = asyncio.ensure_future(visit.incoming.left())
    try:
        # A deadline that comes when the client leaves: a caller who is gone must not keep the flight in the air.
        async with asyncio.timeout(None) as deadline:
            leaving.add_done_callback(lambda _: None if leaving.cancelled() else _end(deadline))
            return await _served(visit, items)
    except TimeoutError:
        if not deadline.expired():
            raise
        return Ending.SERVED
    finally:
        leaving.cancel()
        await items.aclose()


def _end(deadline: asyncio.Timeout) -> None:
    # Who leaves in the moment in which the answer ends has nothing left to be kept from.
    with suppress(RuntimeError):
        deadline.reschedule(asyncio.get_running_loop().time())


async def _served(visit: Visit, items: AsyncGenerator[Any, None]) -> Ending:
    begun = False
    try:
        async for item in items:
            if begun:
                await visit.send({"type": "http.response.body", "body": item, "more_body": True})
                continue
            if not isinstance(item, Shared) or not rules.matches(item.vary, visit.asking.call.headers):
                return Ending.ALONE
            begun = True
            visit.conclude()
            private = (status.PRIVATE,) if visit.asking.route.traits.private_hits else ()
            headers = [*item.headers, *private, *status.collapsed()]
            await visit.send({"type": "http.response.start", "status": item.status, "headers": headers})
    except FlightFailed as failed:
        if begun:
            # Half an answer must not look whole. To return would not do: a middleware around may end what was left
            # without its end, as BaseHTTPMiddleware of Starlette 0.40 does.
            raise AnswerAborted("the answer that this request shared with an equal one broke off") from None
        return Ending.ALONE if failed.alone else Ending.AGAIN
    if not begun:
        return Ending.ALONE
    await visit.send({"type": "http.response.body", "body": b"", "more_body": False})
    return Ending.SERVED
