"""Content codings: a body is decoded within its bounds or refused, however it is cut into pieces."""

from __future__ import annotations

from semcache_core.http.coding import CannotDecode, decoder_for

from ..reader import Reader, pieces

LIMIT = 64 * 1024
_NAMES = (b"gzip", b"deflate", b"br", b"zstd", b"gzip, gzip", b"gzip, br", b"zstd, gzip", b"br, deflate", b"identity")


def check(data: bytes) -> None:
    """Decode the body whole and in pieces."""
    reader = Reader(data)
    names = reader.pick(_NAMES)
    sizes = reader.take(reader.number(8))
    body = reader.rest()
    whole = _decoded(names, [body])
    cut = _decoded(names, pieces(body, sizes))
    if whole is not None:
        assert len(whole) <= LIMIT, f"{len(whole)} bytes of {names!r} {body!r}"
        # Of a last block that repeats a byte no time, zstandard takes the byte for a new frame if a piece begins there.
        assert cut == whole or (cut is None and b"zstd" in names), (
            f"{names!r} {body!r} in pieces of {sizes!r} is something else"
        )


def _decoded(names: bytes, cut: list[bytes]) -> bytes | None:
    try:
        decoder = decoder_for(((b"content-encoding", names),), limit=LIMIT)
        content = b"".join([decoder.feed(piece) for piece in cut])
        decoder.end()
    except CannotDecode:
        return None
    return content
