"""Content codings undone within bounds, so that what is keyed and stored is the content, not its packing.

gzip and deflate always; br and zstd where the libraries ``brotli`` (1.2 or newer, older ones have no output bound) and
``zstandard`` are installed. A coding that cannot be undone is no error: the caller forwards and does not store.
"""

from __future__ import annotations

import re
import zlib
from typing import Protocol

from semcache_core.http.headers import joined
from semcache_core.types import Headers

try:
    import brotli  # type: ignore[import-not-found, import-untyped, unused-ignore]
except ImportError:
    brotli = None
try:
    import zstandard
except ImportError:
    zstandard = None  # type: ignore[assignment, unused-ignore]

_ALWAYS_DECODED = frozenset({b"gzip", b"x-gzip", b"deflate", b"identity", b""})
_SLICE = 16 * 1024
# zstd has no output bound of its own; a block of 4 bytes can stand for 128 KiB, so 256 bytes make 8 MiB at most.
_ZSTD_SLICE = 256
_ZSTD_WINDOW = 8 * 1024 * 1024


class CannotDecode(Exception):
    """The body is coded in a way that is unknown, broken, cut off, or larger than allowed once undone."""


class Decoder(Protocol):
    """Undoes one coding, piece by piece."""

    def feed(self, data: bytes, /) -> bytes:
        """Return what ``data`` stands for. Raises CannotDecode."""
        ...

    def end(self) -> None:
        """Say that the body is over. Raises CannotDecode if it is cut off."""
        ...


class Bounded:
    """Undoes a body's codings, the last applied first; no call of ``feed`` makes more than ``limit`` bytes of them."""

    __slots__ = ("_decoders", "_limit")

    def __init__(self, decoders: tuple[Decoder, ...], *, limit: int) -> None:
        self._decoders = decoders
        self._limit = limit

    def feed(self, data: bytes) -> bytes:
        """Return the content that ``data`` adds. Raises CannotDecode."""
        if not self._decoders:
            return data
        out: list[bytes] = []
        left = self._limit
        for at in range(0, len(data), _SLICE):
            piece = data[at : at + _SLICE]
            for decoder in self._decoders:
                piece = decoder.feed(piece)
            left -= len(piece)
            if left < 0:
                raise CannotDecode(f"the content is larger than {self._limit} bytes")
            out.append(piece)
        return b"".join(out)

    def end(self) -> None:
        """Say that the body is over. Raises CannotDecode if it is cut off."""
        for decoder in self._decoders:
            decoder.end()


def decoder_for(headers: Headers, *, limit: int) -> Bounded:
    """Return what undoes the Content-Encoding of a message with these headers. Raises CannotDecode for an unknown one.

    ``limit`` bounds what one piece of input can make, in bytes; a few MiB more may be held meanwhile.
    """
    codes = joined(headers, b"content-encoding")
    if codes is None:
        return Bounded((), limit=limit)
    codings = [name.strip().lower() for name in codes.split(b",")]
    decoders = [_decoder(name, limit) for name in reversed(codings) if name not in (b"", b"identity")]
    if len(decoders) > 2:
        raise CannotDecode("more than two codings")
    return Bounded(tuple(decoders), limit=limit)


def decoded(headers: Headers, body: bytes, *, limit: int) -> bytes:
    """Return the whole content of a message. Raises CannotDecode."""
    if joined(headers, b"content-encoding") is None:
        return body
    decoder = decoder_for(headers, limit=limit)
    content = decoder.feed(body)
    decoder.end()
    return content


def missing() -> tuple[str, ...]:
    """Return the packages without which answers coded in ``br`` or ``zstd`` cannot be decoded, as requirements."""
    brotli_is_missing = () if _has_bounded_brotli() else ("brotli>=1.2",)
    return brotli_is_missing if zstandard is not None else (*brotli_is_missing, "zstandard>=0.23")


def acceptable(accepts: bytes) -> bytes:
    """Return an Accept-Encoding without the codings that cannot be decoded: an answer in one could not be stored."""
    named = [part.strip() for part in accepts.split(b",")]
    kept = [part for part in named if _is_acceptable(part)]
    return accepts if kept == named else b", ".join(kept) or b"identity"


def _is_acceptable(part: bytes) -> bool:
    coding, _, weight = part.lower().partition(b";")
    if re.fullmatch(rb"\s*q\s*=\s*0(\.0*)?\s*", weight):
        return True  # It says what must not be sent.
    name = coding.strip()
    if name == b"br":
        return _has_bounded_brotli()
    if name == b"zstd":
        return zstandard is not None
    return name in _ALWAYS_DECODED


def _decoder(coding: bytes, limit: int) -> Decoder:
    if coding in (b"gzip", b"x-gzip"):
        return _Zlib(limit, zlib.MAX_WBITS | 16)
    if coding == b"deflate":
        return _Deflate(limit)
    if coding == b"br" and _has_bounded_brotli():
        return _Brotli(limit)
    if coding == b"zstd" and zstandard is not None:
        return _Zstd()
    raise CannotDecode("unknown content coding")


def _has_bounded_brotli() -> bool:
    return brotli is not None and tuple(int(part) for part in brotli.__version__.split(".")[:2]) >= (1, 2)


class _Zlib:
    def __init__(self, limit: int, wbits: int) -> None:
        self._limit = limit
        self._wbits = wbits
        self._unpack = zlib.decompressobj(wbits)
        self._any = False

    def feed(self, data: bytes, /) -> bytes:
        out = []
        try:
            while data:
                if self._unpack.eof:  # RFC 1952 2.2: a gzip file may be several members in a row
                    self._unpack = zlib.decompressobj(self._wbits)
                out.append(self._unpack.decompress(data, self._limit + 1))
                self._any = True
                if self._unpack.unconsumed_tail:
                    raise CannotDecode(f"the content is larger than {self._limit} bytes")
                data = self._unpack.unused_data
        except zlib.error as error:
            raise CannotDecode("broken gzip or deflate data") from error
        return b"".join(out)

    def end(self) -> None:
        if self._any and not self._unpack.eof:
            raise CannotDecode("the compressed body is cut off")


class _Deflate:
    """RFC 9110 8.4.1.2 means the zlib format; some senders leave its two-byte head out."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._head = b""
        self._inner: _Zlib | None = None

    def feed(self, data: bytes, /) -> bytes:
        if self._inner is None:
            self._head += data
            if len(self._head) < 2:
                return b""
            has_head = self._head[0] & 0x0F == 8 and int.from_bytes(self._head[:2]) % 31 == 0
            self._inner = _Zlib(self._limit, zlib.MAX_WBITS if has_head else -zlib.MAX_WBITS)
            data = self._head
        return self._inner.feed(data)

    def end(self) -> None:
        if self._inner is not None:
            self._inner.end()
        elif self._head:
            raise CannotDecode("the compressed body is cut off")


class _Brotli:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._unpack = brotli.Decompressor()
        self._any = False

    def feed(self, data: bytes, /) -> bytes:
        if not data:
            return b""
        self._any = True
        try:
            out: bytes = self._unpack.process(data, output_buffer_limit=self._limit + 1)
        except brotli.error as error:
            raise CannotDecode("broken brotli data") from error
        if len(out) > self._limit or not self._unpack.can_accept_more_data():
            raise CannotDecode(f"the content is larger than {self._limit} bytes")
        return out

    def end(self) -> None:
        if self._any and not self._unpack.is_finished():
            raise CannotDecode("the compressed body is cut off")


class _Zstd:
    def __init__(self) -> None:
        self._unpack = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
        self._any = False

    def feed(self, data: bytes, /) -> bytes:
        self._any = self._any or bool(data)
        try:
            return b"".join(
                self._unpack.decompress(data[at : at + _ZSTD_SLICE]) for at in range(0, len(data), _ZSTD_SLICE)
            )
        except zstandard.ZstdError as error:
            raise CannotDecode("broken zstd data") from error

    def end(self) -> None:
        if self._any and not self._unpack.eof:
            raise CannotDecode("the compressed body is cut off")
