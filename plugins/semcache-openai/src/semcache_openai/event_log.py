"""The log of a stream: every event as it came, without padding, in little space. Pure.

Most chunks of a stream differ only in their text. A run of such chunks is kept as one of them, its texts empty, and the
list of texts; equal events in a row are kept once; every other event is kept byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from semcache_core.authoring.sse import Event, framed
from semcache_core.types import Quiet

from .assembly import TEXTS
from .merging import without_padding
from .tool_calls import TEXT_OF

__all__ = ["EventLog", "Run", "read_log"]

Json = dict[str, Any]


class Run(Quiet, msgspec.Struct, array_like=True, frozen=True):
    """One event, or several that differ only in their texts."""

    data: bytes
    """The event's data; that of a run has its texts empty."""
    name: bytes = b""
    texts: tuple[str, ...] = ()
    """The texts of a run, event by event; empty: ``data`` is a whole event."""
    times: int = 1
    """How often a whole event came."""

    def framed(self) -> Iterator[bytes]:
        """Yield the events as a stream has them."""
        if not self.texts:
            yield from [framed(self.data, name=self.name)] * self.times
            return
        chunk = _decode(self.data)
        spots = _spots(chunk)
        for container, name in spots:
            container[name] = _MARK
        between = framed(_encode(chunk), name=self.name).split(_ENCODED_MARK)
        texts = [_encode(text) for text in self.texts]
        if len(spots) == 1:
            before, after = between
            yield from [before + text + after for text in texts]
            return
        for at in range(0, len(texts), len(spots)):
            inside = zip(texts[at : at + len(spots)], between[1:], strict=True)
            yield between[0] + b"".join([text + after for text, after in inside])


# Stands for a text while the rest of a chunk is encoded. ``EventLog`` makes no run of chunks that have it as a value.
_MARK = "\x00text\x00"
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_ENCODED_MARK = _encode(_MARK)
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(tuple[Run, ...]).decode


def read_log(log: bytes) -> tuple[Run, ...]:
    """Return the runs of a log, as ``EventLog.encoded`` makes it."""
    return _unpack(log)


class EventLog:
    """Receives the events of a stream in order."""

    __slots__ = ("_created", "_event", "_runs", "_template", "_texts", "_times")

    def __init__(self) -> None:
        self._runs: list[Run] = []
        self._event = Event(b"")
        """The first event of the run that is open."""
        self._template = b""
        """Its data without texts, in one form; empty: no event has come."""
        self._created: object = None
        self._texts: list[str] = []
        self._times = 0

    def add(self, event: Event, chunk: Json) -> None:
        """Add an event and its decoded data, which is the log's from now on."""
        bare = without_padding(chunk)
        if bare is not chunk:
            event = Event(_encode(bare), event.name)
        spots = _spots(bare)
        texts = [container[name] for container, name in spots]
        for container, name in spots:
            container[name] = ""
        created = bare.get("created")
        if created and self._created:
            bare["created"] = self._created  # Some servers stamp every chunk.
        template = _encode(bare)
        if template == self._template and event.name == self._event.name and not (texts and _ENCODED_MARK in template):
            self._texts += texts
            self._times += 1
            return
        self._close()
        if created and created != self._created:
            bare["created"] = created
            template = _encode(bare)
        self._event, self._template, self._created = event, template, created
        self._texts, self._times = texts, 1

    def runs(self) -> tuple[Run, ...]:
        """Return the log so far."""
        self._close()
        return tuple(self._runs)

    def encoded(self) -> bytes:
        """Return the log so far as bytes."""
        return _pack(self.runs())

    def _close(self) -> None:
        if self._texts and self._times > 1:
            self._runs.append(Run(self._template, self._event.name, tuple(self._texts)))
        elif self._times:
            self._runs.append(Run(self._event.data, self._event.name, times=self._times))
        self._template, self._texts, self._times = b"", [], 0


def _spots(chunk: Json) -> list[tuple[Json, str]]:
    """Return where a chunk has its texts, in order."""
    spots: list[tuple[Json, str]] = []
    choices = chunk.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        delta = choice.get("delta") if isinstance(choice, dict) else None
        if not isinstance(delta, dict):
            continue
        for name, value in delta.items():
            if name in TEXTS and isinstance(value, str):
                spots.append((delta, name))
            elif name == "tool_calls" and isinstance(value, list):
                calls = [call for call in value if isinstance(call, dict)]
                spots += [
                    spot for call in calls for kind, text in TEXT_OF.items() for spot in _spot(call.get(kind), text)
                ]
            elif name == "function_call":
                spots += _spot(value, "arguments")
    return spots


def _spot(function: Any, text: str) -> list[tuple[Json, str]]:
    return [(function, text)] if isinstance(function, dict) and isinstance(function.get(text), str) else []
