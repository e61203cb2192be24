"""The log of a stream: every event as it came, without padding, in little space. Pure.

Most chunks of a stream differ only in their text. A run of such chunks is kept as one of them, its texts empty, and the
list of texts; every other event is kept byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from semcache_core.authoring.sse import Event

from .assembly import TEXTS
from .merging import without_padding

__all__ = ["EventLog", "Run", "read_log"]

Json = dict[str, Any]


class Run(msgspec.Struct, array_like=True, frozen=True):
    """One event, or several that differ only in their texts."""

    data: bytes
    """The event's data; that of a run has its texts empty."""
    name: bytes = b""
    texts: tuple[str, ...] = ()
    """The texts of a run, event by event; empty: ``data`` is one whole event."""

    def chunks(self) -> Iterator[Json]:
        """Yield each event of a run, decoded. They are one object, filled anew: encode each before the next."""
        chunk = _decode(self.data)
        spots = _spots(chunk)
        for at in range(0, len(self.texts), len(spots)):
            for (container, name), text in zip(spots, self.texts[at:], strict=False):
                container[name] = text
            yield chunk


_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(tuple[Run, ...]).decode


def read_log(log: bytes) -> tuple[Run, ...]:
    """Return the runs of a log, as ``EventLog.encoded`` makes it."""
    return _unpack(log)


class EventLog:
    """Receives the events of a stream in order."""

    __slots__ = ("_event", "_runs", "_template", "_texts")

    def __init__(self) -> None:
        self._runs: list[Run] = []
        self._event = Event(b"")
        self._template: Json | None = None
        self._texts: list[str] = []

    def add(self, event: Event, chunk: Json) -> None:
        """Add an event and its decoded data, which is the log's from now on."""
        bare = without_padding(chunk)
        if bare is not chunk:
            event = Event(_encode(bare), event.name)
        spots = _spots(bare)
        texts = [container[name] for container, name in spots]
        for container, name in spots:
            container[name] = ""
        if texts and self._continues(event, bare):
            self._texts += texts
            return
        self._close()
        self._event, self._template, self._texts = event, bare, texts

    def runs(self) -> tuple[Run, ...]:
        """Return the log so far."""
        self._close()
        return tuple(self._runs)

    def encoded(self) -> bytes:
        """Return the log so far as bytes."""
        return _pack(self.runs())

    def _continues(self, event: Event, chunk: Json) -> bool:
        template = self._template
        if template is None or event.name != self._event.name:
            return False
        if template.get("created") and chunk.get("created"):
            chunk["created"] = template["created"]  # Some servers stamp every chunk.
        return template == chunk

    def _close(self) -> None:
        template, self._template = self._template, None
        if template is None:
            return
        event, texts = self._event, self._texts
        if len(texts) > len(_spots(template)):
            self._runs.append(Run(_encode(template), event.name, tuple(texts)))
        else:
            self._runs.append(Run(event.data, event.name))


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
                spots += _arguments(each.get("function") for each in value if isinstance(each, dict))
            elif name == "function_call":
                spots += _arguments([value])
    return spots


def _arguments(functions: Any) -> Iterator[tuple[Json, str]]:
    for function in functions:
        if isinstance(function, dict) and isinstance(function.get("arguments"), str):
            yield function, "arguments"
