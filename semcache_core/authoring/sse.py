"""Server-sent events (WHATWG HTML 9.2.5, 9.2.6): splits a stream by event, not by chunk, and frames events. Pure."""

from __future__ import annotations

import msgspec

from semcache_core.types import Quiet

__all__ = ["Event", "EventStream", "framed"]

_BOM = b"\xef\xbb\xbf"


class Event(Quiet, msgspec.Struct, frozen=True):
    """One event: its name (empty if the stream gives none) and its data lines, joined by line feeds."""

    data: bytes
    name: bytes = b""


class EventStream:
    """Collects chunks with arbitrary ends and returns the complete events. Comments and pings are dropped.

    Lines may end in CR, LF or CRLF. It holds one unfinished event at most; the caller bounds how much that can be.
    """

    __slots__ = ("_at", "_begun", "_buffer", "_carriage")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        self._begun = False
        self._carriage = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next chunk and return the events that it completes."""
        self._buffer += self._normalised(chunk)
        if not self._begun and not self._begin():
            return []
        events: list[Event] = []
        start = 0
        # Up to two bytes may belong to a separator that began in an earlier chunk.
        at = self._buffer.find(b"\n\n", max(0, self._at - 1))
        while at >= 0:
            event = _parse(bytes(self._buffer[start:at]))
            if event is not None:
                events.append(event)
            start = at + 2
            at = self._buffer.find(b"\n\n", start)
        if start:
            del self._buffer[:start]
        self._at = len(self._buffer)
        return events

    def end(self) -> Event | None:
        """Return the last event, if the stream ended without its blank line, or None."""
        return _parse(bytes(self._buffer))

    def _normalised(self, chunk: bytes) -> bytes:
        if self._carriage:
            chunk = b"\r" + chunk
        # A CR at the very end may be half of a CRLF.
        self._carriage = chunk.endswith(b"\r")
        if self._carriage:
            chunk = chunk[:-1]
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in chunk else chunk

    def _begin(self) -> bool:
        if len(self._buffer) < len(_BOM) and _BOM.startswith(self._buffer):
            return False
        if self._buffer.startswith(_BOM):
            del self._buffer[: len(_BOM)]
        self._begun = True
        return True


def _parse(block: bytes) -> Event | None:
    name = b""
    data: list[bytes] = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return Event(b"\n".join(data), name) if data else None


def framed(data: bytes, *, name: bytes = b"") -> bytes:
    """Return one event as bytes. Data with line feeds becomes several data lines, as the format requires."""
    head = b"event: " + name + b"\n" if name else b""
    return head + b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"
