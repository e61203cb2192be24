"""What a driver does next with a claimed request: the steps that an exchange decides on."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from semcache_core.engine.flight import Flight
from semcache_core.http.answer import SentHeaders, UpstreamAnswer
from semcache_core.http.missed import Missed
from semcache_core.http.replay import Replay
from semcache_core.types import Headers, Quiet


class Serve(Quiet, msgspec.Struct, frozen=True):
    """Send ``replay``; where it is ``stale``, call ``Exchange.refresh`` afterwards."""

    replay: Replay
    stale: Missed | None = None


class Wait(Quiet, msgspec.Struct, frozen=True):
    """An equal request is upstream already: call ``Exchange.wait``."""

    missed: Missed
    flight: Flight[Any]


class Follow(Quiet, msgspec.Struct, frozen=True):
    """Send the answer that an equal request shares: its head, then each piece as it comes.

    ``pieces`` raises AnswerAborted if the answer breaks off; it has to be closed if the caller leaves before its end.
    """

    status: int
    headers: SentHeaders
    pieces: AsyncGenerator[bytes, None]


class Forward(Quiet, msgspec.Struct, frozen=True):
    """Ask upstream, without the fields that are meant for the cache, and pass what comes to ``answer``."""

    answer: UpstreamAnswer


class Pass(Quiet, msgspec.Struct, frozen=True):
    """Ask upstream without the cache: add ``fields`` to the answer's head, and change nothing else.

    None: the request is not for the cache after all, and stays untouched.
    """

    fields: Headers | None


Step = Serve | Wait | Follow | Forward | Pass

_ONLY_IF_CACHED = (
    b'{"error":{"message":"not in the cache, and the request allows nothing else","type":"only-if-cached"}}'
)


def not_cached() -> Serve:
    """Return the answer to ``only-if-cached`` on a miss: a new one each time, for middleware adds to its headers."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_ONLY_IF_CACHED))]
    return Serve(Replay(504, headers, (_ONLY_IF_CACHED,)))
