"""Content codings undone within bounds, so that what is keyed and stored is the content, not its packing.

A coding that cannot be undone is no error: the caller forwards and does not store. Which codings can be undone here
depends on what is installed (``decoders.missing_decoders``).
"""

from __future__ import annotations

from collections.abc import Iterator

from semcache_core.http.decoders import CannotDecode, Decoder, decoder_of, missing_decoders
from semcache_core.http.headers import joined
from semcache_core.types import Headers

__all__ = ["Bounded", "CannotDecode", "decoded", "decoder_for", "missing_decoders"]

_MOST_CODINGS = 2
_RATIO = 64
"""How many bytes each byte of a long answer may stand for; text seldom shrinks to less than a twentieth."""


class Bounded:
    """Undoes a body's codings, the last applied first.

    Everything that the decoders make counts, what passes between two of them too: at most ``limit`` bytes in one call
    of ``feed``, and at most ``limit`` and 64 bytes for each byte fed in all. Time and memory are in proportion to that.
    """

    __slots__ = ("_decoders", "_left", "_limit")

    def __init__(self, codings: list[bytes], *, limit: int) -> None:
        self._limit = self._left = limit
        self._decoders: tuple[Decoder, ...] = tuple([decoder_of(name, self._spend) for name in codings])

    def feed(self, data: bytes) -> bytes:
        """Return the content that ``data`` adds. Raises CannotDecode."""
        return b"".join(self.pieces(data))

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield the content that ``data`` adds, as it is made. Raises CannotDecode."""
        self._left = min(self._limit, self._left + _RATIO * len(data))
        return self._undone(data, 0) if self._decoders else iter((data,))

    def end(self) -> None:
        """Say that the body is over. Raises CannotDecode if it is cut off."""
        for decoder in self._decoders:
            decoder.end()

    def _undone(self, data: bytes, at: int) -> Iterator[bytes]:
        is_last = at + 1 == len(self._decoders)
        for piece in self._decoders[at].feed(data):
            self._spend(len(piece))
            if is_last:
                yield piece
            else:
                yield from self._undone(piece, at + 1)

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise CannotDecode(f"the content is larger than {self._limit} bytes")


def decoder_for(headers: Headers, *, limit: int) -> Bounded:
    """Return what undoes the Content-Encoding of a message with these headers. Raises CannotDecode for an unknown one.

    ``limit`` bounds what one piece of input can make, in bytes; a few MiB more may be held meanwhile.
    """
    codes = joined(headers, b"content-encoding")
    if codes is None:
        return Bounded([], limit=limit)
    codings = [name for name in map(bytes.strip, codes.lower().split(b",")) if name not in (b"", b"identity")]
    if len(codings) > _MOST_CODINGS:
        raise CannotDecode(f"more than {_MOST_CODINGS} codings")
    return Bounded(codings[::-1], limit=limit)


def decoded(headers: Headers, body: bytes, *, limit: int) -> bytes:
    """Return the whole content of a message, at most ``limit`` bytes. Raises CannotDecode."""
    if joined(headers, b"content-encoding") is None:
        return body
    decoder = decoder_for(headers, limit=limit)
    content = decoder.feed(body)
    decoder.end()
    return content
