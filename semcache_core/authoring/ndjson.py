"""Newline-delimited JSON: splits a stream by line, not by network chunk, and frames values as lines. Pure."""

from __future__ import annotations

__all__ = ["LineStream", "framed"]


class LineStream:
    """Collects chunks with arbitrary ends and returns the complete lines. Blank lines are dropped.

    Lines may end in LF or CRLF. It holds one unfinished line at most; the caller bounds how much that can be.
    """

    __slots__ = ("_at", "_buffer")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next chunk and return the lines that it completes, without their ends."""
        self._buffer += chunk
        # Only the new bytes are searched: a line in a thousand chunks is scanned once.
        if self._buffer.find(b"\n", self._at) < 0:
            self._at = len(self._buffer)
            return []
        *complete, rest = self._buffer.split(b"\n")
        self._buffer, self._at = rest, len(rest)
        return [bytes(line) for line in map(bytearray.strip, complete) if line]

    def end(self) -> bytes | None:
        """Return the last line, if the stream ended without its line feed, or None."""
        return bytes(self._buffer.strip()) or None


def framed(data: bytes) -> bytes:
    """Return one JSON value, encoded without line feeds, as a line."""
    return data + b"\n"
