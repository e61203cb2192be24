"""Which flights the running call leads, and which flights such calls wait for: a call must not wait for itself.

A context variable holds the chain, so it reaches every task and thread that inherits the context of the call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec

from semcache_core.types import Entity


class Link(Entity):
    """One led flight in the chains of its call."""

    waits_for: list[Link] = msgspec.field(default_factory=list)
    """The flights that its call, or a call below it, waits for now."""
    has_ended: bool = False


_chain: ContextVar[tuple[Link, ...]] = ContextVar("semcache_call_chain", default=())


@contextmanager
def leading(link: Link) -> Iterator[None]:
    """Run a call that leads the flight of ``link``."""
    # A task that outlives its call keeps the context: what has ended is left out, or the chain would only grow.
    token = _chain.set((*(each for each in _chain.get() if not each.has_ended), link))
    try:
        yield
    finally:
        _chain.reset(token)


def waits_for_itself(link: Link) -> bool:
    """Say whether the running call would wait for itself in the flight of ``link``: directly, or through others."""
    chain = _chain.get()
    if not chain:
        return False
    seen, ahead = {id(link)}, [link]
    while ahead:
        at = ahead.pop()
        if any(at is each and not each.has_ended for each in chain):
            return True
        new = [each for each in at.waits_for if id(each) not in seen]
        seen.update(map(id, new))
        ahead += new
    return False


@contextmanager
def waiting(link: Link) -> Iterator[None]:
    """Wait for the flight of ``link`` in the running call. Only on the home loop."""
    chain = _chain.get()
    for each in chain:
        each.waits_for.append(link)
    try:
        yield
    finally:
        for each in chain:
            each.waits_for.remove(link)
