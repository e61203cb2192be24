"""One decoder for each content coding, over the libraries that are installed. Each makes its output in small pieces.

gzip and deflate always. br needs ``brotli`` or ``brotlicffi``, 1.2 or newer: older ones have no bound for their output.
zstd needs ``zstandard``, or Python 3.14, which brings it.
"""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import Any, Protocol

_NO_WEIGHT = re.compile(rb"\s*q\s*=\s*0(?:\.0*)?\s*")
_PIECE = 64 * 1024
"""Bytes of the largest piece that a decoder makes, where its library has a bound for the output."""
# zlib copies what follows the end of a member: with short input, thousands of tiny members take linear time.
_ZLIB_SLICE = 1024
_BROTLI_SLICE = 16 * 1024
# zstandard has no bound for its output: a block of 4 bytes can stand for 128 KiB, so 128 bytes make 4 MiB at most.
_ZSTD_SLICE = 128
_ZSTD_WINDOW_LOG = 23
"""8 MiB: what a sender may use and a receiver must support (RFC 9659, 3)."""
_FRAME = 1024
"""What each further member or frame counts, in bytes of content: a body may have millions of empty ones."""


class CannotDecode(Exception):
    """The body is coded in a way that is unknown, broken, cut off, or larger than allowed once undone."""


Spend = Callable[[int], None]
"""Takes the size of some content, or of work that costs as much. Raises CannotDecode if it is too much in all."""


class Decoder(Protocol):
    """Undoes one coding, piece by piece."""

    def feed(self, data: bytes, /) -> Iterator[bytes]:
        """Yield what ``data`` stands for, in pieces. Raises CannotDecode."""
        ...

    def end(self) -> None:
        """Say that the body is over. Raises CannotDecode if it is cut off."""
        ...


def decoder_of(coding: bytes, spend: Spend) -> Decoder:
    """Return a decoder of a content coding, by its name in lower case. Raises CannotDecode for an unknown one."""
    made = _DECODERS.get(coding)
    if made is None:
        raise CannotDecode("unknown content coding")
    return made(spend)


def missing_decoders() -> Mapping[str, str]:
    """Return the usual content codings that cannot be undone here, each with the requirement that it takes."""
    return {name: requirement for name, requirement in _OPTIONAL.items() if name.encode() not in _DECODERS}


def acceptable(accepts: bytes) -> bytes:
    """Return an Accept-Encoding without the codings that cannot be undone: an answer in one cannot be stored."""
    named = [part.strip() for part in accepts.split(b",")]
    kept = [part for part in named if _is_acceptable(part)]
    return accepts if kept == named else b", ".join(kept) or b"identity"


def _is_acceptable(part: bytes) -> bool:
    coding, _, weight = part.lower().partition(b";")
    name = coding.strip()
    # A weight of 0 says what must not be sent.
    return name in _DECODERS or name in (b"identity", b"") or _NO_WEIGHT.fullmatch(weight) is not None


class _Deflate:
    """RFC 9110 8.4.1.2 means the zlib format; some senders leave its two-byte head out."""

    def __init__(self, _: Spend) -> None:
        self._head = b""
        self._unpack: Any = None

    def feed(self, data: bytes, /) -> Iterator[bytes]:
        if self._unpack is None:
            data = self._head + data
            if len(data) < 2:
                self._head = data
                return
            has_head = data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0
            self._unpack = zlib.decompressobj(zlib.MAX_WBITS if has_head else -zlib.MAX_WBITS)
        for part in _slices(data, _ZLIB_SLICE):
            if self._unpack.eof:
                raise CannotDecode("data after the end of the compressed body")
            yield from _inflated(self._unpack, part)
            if self._unpack.unused_data:
                raise CannotDecode("data after the end of the compressed body")

    def end(self) -> None:
        if self._head if self._unpack is None else not self._unpack.eof:
            raise CannotDecode("the compressed body is cut off")


class _Gzip:
    """RFC 1952 2.2: a gzip file may be several members in a row."""

    def __init__(self, spend: Spend) -> None:
        self._spend = spend
        self._unpack: Any = None

    def feed(self, data: bytes, /) -> Iterator[bytes]:
        for part in _slices(data, _ZLIB_SLICE):
            rest = part
            while rest:
                if self._unpack is None:
                    self._unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
                elif self._unpack.eof:
                    self._spend(_FRAME)
                    self._unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
                yield from _inflated(self._unpack, rest)
                rest = self._unpack.unused_data

    def end(self) -> None:
        if self._unpack is not None and not self._unpack.eof:
            raise CannotDecode("the compressed body is cut off")


def _inflated(unpack: Any, data: bytes) -> Iterator[bytes]:
    try:
        while True:
            piece: bytes = unpack.decompress(data, _PIECE)
            if piece:
                yield piece
            data = unpack.unconsumed_tail
            # A full piece may have left some output behind, although it took all the input.
            if unpack.eof or not (data or len(piece) == _PIECE):
                return
    except zlib.error as error:
        raise CannotDecode("broken gzip or deflate data") from error


class _Brotli:
    def __init__(self, _: Spend) -> None:
        self._unpack = _brotli.Decompressor()
        self._any = False

    def feed(self, data: bytes, /) -> Iterator[bytes]:
        self._any = self._any or bool(data)
        unpack = self._unpack
        try:
            for part in _slices(data, _BROTLI_SLICE):
                yield unpack.process(part, output_buffer_limit=_PIECE)
                while not unpack.can_accept_more_data():
                    yield unpack.process(b"", output_buffer_limit=_PIECE)
        except _brotli.error as error:
            raise CannotDecode("broken brotli data") from error

    def end(self) -> None:
        if self._any and not self._unpack.is_finished():
            raise CannotDecode("the compressed body is cut off")


class _Zstd:
    """RFC 8878 3: zstd data is one frame or several in a row."""

    def __init__(self, spend: Spend) -> None:
        self._spend = spend
        self._next, self._error = _zstd_frames()
        self._frame: Any = None

    def feed(self, data: bytes, /) -> Iterator[bytes]:
        for part in _slices(data, _ZSTD_SLICE):
            rest = part
            while rest:
                if self._frame is None:
                    self._frame = self._next()
                elif self._frame.eof:
                    self._spend(_FRAME)
                    self._frame = self._next()
                frame = self._frame
                try:
                    yield frame.decompress(rest, _PIECE)
                    while not (frame.eof or frame.needs_input):
                        yield frame.decompress(b"", _PIECE)
                except self._error as error:
                    raise CannotDecode("broken zstd data") from error
                rest = frame.unused_data if frame.eof else b""

    def end(self) -> None:
        if self._frame is not None and not self._frame.eof:
            raise CannotDecode("the compressed body is cut off")


class _ZstandardFrame:
    """One frame of ``zstandard`` behind the interface of Python's ``ZstdDecompressor``; its output has no bound."""

    needs_input = True

    def __init__(self, unpack: Any) -> None:
        self._unpack = unpack.decompressobj()

    @property
    def eof(self) -> bool:
        return bool(self._unpack.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._unpack.unused_data)

    def decompress(self, data: bytes, _: int) -> bytes:
        return bytes(self._unpack.decompress(data))


def _zstd_frames() -> tuple[Callable[[], Any], type[Exception]]:
    """Return what begins the next frame, and the error of its library."""
    if _standard_zstd is not None:
        options = {_standard_zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        return partial(_standard_zstd.ZstdDecompressor, options=options), _standard_zstd.ZstdError
    unpack = _zstandard.ZstdDecompressor(max_window_size=1 << _ZSTD_WINDOW_LOG)
    return partial(_ZstandardFrame, unpack), _zstandard.ZstdError


def _slices(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


# -- what is installed ------------------------------------------------------------------------------------------------

_OPTIONAL = {"br": "brotli>=1.2", "zstd": "zstandard"}


def _installed(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        return None


def _bounded_brotli() -> Any:
    """Return the first brotli library that can bound its output, or None."""
    for name in ("brotli", "brotlicffi"):
        library = _installed(name)
        if library is not None and tuple(map(int, library.__version__.split(".")[:2])) >= (1, 2):
            return library
    return None


_brotli = _bounded_brotli()
_zstandard = _installed("zstandard")
_standard_zstd = _installed("compression.zstd") if sys.version_info >= (3, 14) else None

_DECODERS: dict[bytes, Callable[[Spend], Decoder]] = {b"gzip": _Gzip, b"x-gzip": _Gzip, b"deflate": _Deflate}
if _brotli is not None:
    _DECODERS[b"br"] = _Brotli
if _standard_zstd is not None or _zstandard is not None:
    _DECODERS[b"zstd"] = _Zstd
