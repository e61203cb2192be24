"""Newline-delimited JSON taken apart by line, never by network chunk (one JSON value a line), and made again. Pure."""

from __future__ import annotations

__all__ = ["LineStream", "framed"]


class LineStream:
    """Collects chunks that end anywhere and gives back the lines that are complete. Blank lines are dropped.

    Lines may end in LF or CRLF. It holds one unfinished line at most; the caller bounds how much that can be.
    """

    __slots__ = ("_at", "_buffer")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next chunk and return the lines that it completes, without their ends."""
        self._buffer += chunk
        # Only the new bytes are searched: a line in a thousand chunks is read once.
        if self._buffer.find(b"\n", self._at) < 0:
            self._at = len(self._buffer)
            return []
        *complete, rest = self._buffer.split(b"\n")
        self._buffer, self._at = rest, len(rest)
        return [bytes(line) for line in map(bytearray.strip, complete) if line]

    def end(self) -> bytes | None:
        """Return the line that the end of the stream completes: one whose line feed was left out, or None."""
        return bytes(self._buffer.strip()) or None


def framed(data: bytes) -> bytes:
    """Return one JSON value, encoded without line feeds, as a line."""
    return data + b"\n"
