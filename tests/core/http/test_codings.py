"""Content codings are undone within bounds of time and memory, whatever somebody made of them."""

from __future__ import annotations

import gzip
import random
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcache_core.http import decoders
from semcache_core.http.coding import Bounded, CannotDecode, decoded, decoder_for, missing_decoders
from semcache_core.http.decoders import acceptable

brotli = pytest.importorskip("brotli")
zstandard = pytest.importorskip("zstandard")

LIMIT = 1 << 20
MEBIBYTE = 1 << 20
TEXT = b'{"answer": "' + b"the same words again and again, " * 200 + b'"}'


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKED: dict[bytes, Callable[[bytes], bytes]] = {
    b"gzip": gzip.compress,
    b"x-gzip": gzip.compress,
    b"deflate": zlib.compress,
    b"Deflate": raw_deflate,
    b"br": partial(brotli.compress, quality=5),
    b"zstd": zstandard.ZstdCompressor().compress,
}
NAMES = st.sampled_from(sorted(PACKED))


def undone(body: bytes, *names: bytes, limit: int = LIMIT) -> bytes:
    return decoded(((b"content-encoding", b", ".join(names)),), body, limit=limit)


@pytest.mark.parametrize("name", PACKED, ids=lambda name: name.decode())
def test_each_coding_is_undone(name: bytes) -> None:
    assert undone(PACKED[name](TEXT), name) == TEXT


def test_a_body_without_a_coding_is_its_own_content() -> None:
    assert undone(TEXT, b"identity") == decoded((), TEXT, limit=1) == TEXT


@given(st.binary(max_size=2000), st.lists(NAMES, min_size=1, max_size=2), st.lists(st.integers(1, 300), max_size=8))
def test_one_or_two_codings_are_undone_whatever_the_pieces(body: bytes, names: list[bytes], sizes: list[int]) -> None:
    packed = body
    for name in names:
        packed = PACKED[name](packed)
    decoder = decoder_for(((b"content-encoding", b",".join(names)),), limit=LIMIT)
    content, at = b"", 0
    for size in (*sizes, len(packed)):
        content += decoder.feed(packed[at : at + size])
        at += size
    decoder.end()
    assert content == body


@pytest.mark.parametrize("name", PACKED, ids=lambda name: name.decode())
def test_a_body_that_is_cut_off_is_no_content(name: bytes) -> None:
    with pytest.raises(CannotDecode):
        undone(PACKED[name](TEXT)[:-3], name)


@pytest.mark.parametrize("name", [b"deflate", b"Deflate", b"br"], ids=lambda name: name.decode())
def test_what_follows_the_end_of_a_body_makes_it_no_content(name: bytes) -> None:
    with pytest.raises(CannotDecode):
        undone(PACKED[name](TEXT) + b"more", name)
    with pytest.raises(CannotDecode):
        undone(PACKED[name](TEXT) + PACKED[name](TEXT), name)


@pytest.mark.parametrize("name", [b"gzip", b"deflate", b"br", b"zstd"], ids=lambda name: name.decode())
def test_a_broken_body_is_no_content(name: bytes) -> None:
    with pytest.raises(CannotDecode):
        undone(b"\x1f\x8b\x08 not packed at all", name)


@pytest.mark.parametrize("name", [b"gzip", b"zstd"], ids=lambda name: name.decode())
def test_several_members_or_frames_are_one_content(name: bytes) -> None:
    assert undone(PACKED[name](TEXT[:50]) + PACKED[name](TEXT[50:]), name) == TEXT


@pytest.mark.parametrize("name", [b"compress", b"aws-chunked", b"gzip, br, zstd"])
def test_an_unknown_coding_or_a_third_one_cannot_be_undone(name: bytes) -> None:
    with pytest.raises(CannotDecode):
        decoder_for(((b"content-encoding", name),), limit=LIMIT)


def test_a_list_of_a_million_codings_makes_no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []
    monkeypatch.setitem(decoders._DECODERS, b"gzip", lambda spend: made.append(b"gzip"))
    with pytest.raises(CannotDecode):
        undone(b"", *[b"gzip"] * 1_000_000)
    assert made == []


def test_without_their_libraries_br_and_zstd_cannot_be_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_decoders() == {}
    for name in (b"br", b"zstd"):
        monkeypatch.delitem(decoders._DECODERS, name)
        with pytest.raises(CannotDecode):
            decoder_for(((b"content-encoding", name),), limit=LIMIT)
    assert missing_decoders() == {"br": "brotli>=1.2", "zstd": "zstandard"}
    assert acceptable(b"gzip, deflate, br, zstd") == b"gzip, deflate"
    assert acceptable(b"br") == b"identity"


@pytest.mark.parametrize(
    ("accepts", "offered"),
    [
        (b"gzip, deflate, br, zstd", b"gzip, deflate, br, zstd"),
        (b"gzip;q=0.5", b"gzip;q=0.5"),
        (b"gzip, dcb, dcz", b"gzip"),
        (b"compress", b"identity"),
        (b"gzip, *;q=0.1", b"gzip"),
        (b"identity;q=0, *;q=0.0, gzip", b"identity;q=0, *;q=0.0, gzip"),
        (b"", b""),
    ],
)
def test_upstream_is_offered_the_codings_that_can_be_undone(accepts: bytes, offered: bytes) -> None:
    assert acceptable(accepts) == offered


# -- hostile bodies ---------------------------------------------------------------------------------------------------


def zstd_bomb(blocks: int) -> bytes:
    """Return a frame of blocks that stand for 128 KiB of zeros each, in 4 bytes, with a window of 8 MiB."""
    return b"\x28\xb5\x2f\xfd\x00\x68" + b"\x02\x00\x10\x00" * blocks


def zstd_with_window(log: int) -> bytes:
    return b"\x28\xb5\x2f\xfd\x00" + bytes([(log - 10) << 3]) + b"\x01\x00\x00"


EMPTY_GZIP, EMPTY_FRAME = gzip.compress(b""), zstandard.ZstdCompressor().compress(b"")
SKIPPED = b"\x50\x2a\x4d\x18\x00\x00\x00\x00"

HOSTILE: dict[str, tuple[tuple[bytes, ...], bytes]] = {
    **{f"{name.decode()} of zeros": ((name,), pack(bytes(64 * MEBIBYTE))) for name, pack in PACKED.items()},
    "zstd blocks": ((b"zstd",), zstd_bomb(20_000)),
    "zstd blocks in gzip": ((b"zstd", b"gzip"), gzip.compress(zstd_bomb(1_000_000))),
    "zstd blocks in br": ((b"zstd", b"br"), brotli.compress(zstd_bomb(1_000_000))),
    "gzip in gzip": ((b"gzip", b"gzip"), gzip.compress(gzip.compress(bytes(256 * MEBIBYTE)))),
    "gzip in zstd": ((b"gzip", b"zstd"), PACKED[b"zstd"](gzip.compress(bytes(256 * MEBIBYTE)))),
    "empty members": ((b"gzip",), EMPTY_GZIP * 200_000),
    "empty members in gzip": ((b"gzip", b"gzip"), gzip.compress(EMPTY_GZIP * 200_000)),
    "empty members in zstd": ((b"gzip", b"zstd"), PACKED[b"zstd"](EMPTY_GZIP * 200_000)),
    "empty frames in gzip": ((b"zstd", b"gzip"), gzip.compress(EMPTY_FRAME * 200_000)),
    "skipped frames in gzip": ((b"zstd", b"gzip"), gzip.compress(SKIPPED * 400_000)),
    "empty blocks in gzip": ((b"Deflate", b"gzip"), gzip.compress(b"\x00\x00\x00\xff\xff" * 800_000)),
    "a window of 128 MiB": ((b"zstd",), zstd_with_window(27)),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_body_takes_little_time_and_memory(case: str, peak: Callable[[Callable[[], object]], int]) -> None:
    names, body = HOSTILE[case]

    def refused() -> None:
        with pytest.raises(CannotDecode):
            undone(body, *names, limit=4 * MEBIBYTE)

    # The limit once as pieces, what is between two decoders, and what one call of zstandard may make beyond it.
    assert peak(refused) < 16 * MEBIBYTE
    began = time.thread_time()
    refused()
    assert time.thread_time() - began < 0.5


def test_a_small_body_takes_little_memory_of_the_process(tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(HOSTILE["zstd blocks in gzip"][1])
    program = """
import resource, sys
from semcache_core.http.coding import CannotDecode, decoded
body = open(sys.argv[1], "rb").read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    decoded(((b"content-encoding", b"zstd, gzip"),), body, limit=4 << 20)
except CannotDecode:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    ran = subprocess.run([sys.executable, "-c", program, body], capture_output=True, text=True, check=True, timeout=60)
    assert int(ran.stdout) < 48 * 1024  # KiB, as Linux counts


def test_a_window_of_eight_mebibytes_is_the_largest() -> None:
    assert undone(zstd_with_window(23), b"zstd") == b""


def test_content_between_two_codings_counts_towards_the_limit() -> None:
    body = random.Random(1).randbytes(1000)
    packed = gzip.compress(gzip.compress(body))
    assert undone(packed, b"gzip", b"gzip", limit=2200) == body
    with pytest.raises(CannotDecode):
        undone(packed, b"gzip", b"gzip", limit=2000)


@pytest.mark.parametrize("packed", [EMPTY_GZIP, EMPTY_FRAME, gzip.compress(b"a")], ids=["gzip", "zstd", "gzip of a"])
def test_many_small_members_take_time_in_proportion(packed: bytes, growth: Callable[..., float]) -> None:
    name = b"zstd" if packed is EMPTY_FRAME else b"gzip"

    def undo(count: int) -> None:
        undone(packed * count, name, limit=1 << 40)

    assert growth(undo, 8_000, 16_000) < 3.2


@pytest.mark.parametrize("name", PACKED, ids=lambda name: name.decode())
def test_an_answer_longer_than_the_limit_is_undone_as_long_as_it_comes(name: bytes) -> None:
    text = b"".join(b"line %d of an answer\n" % number for number in range(40_000))
    packed = PACKED[name](text)
    decoder = decoder_for(((b"content-encoding", name),), limit=256 * 1024)
    assert b"".join(decoder.feed(packed[at : at + 512]) for at in range(0, len(packed), 512)) == text


@pytest.mark.parametrize("name", PACKED, ids=lambda name: name.decode())
def test_an_answer_cannot_unfold_beyond_its_limit_and_its_own_length(name: bytes) -> None:
    packed = PACKED[name](bytes(16 * MEBIBYTE))
    decoder = decoder_for(((b"content-encoding", name),), limit=256 * 1024)
    assert came_of(decoder, packed) <= 256 * 1024 + 64 * len(packed)


def came_of(decoder: Bounded, packed: bytes) -> int:
    """Return how many bytes a decoder makes until it refuses."""
    came = 0
    try:
        for at in range(len(packed)):
            came += len(decoder.feed(packed[at : at + 1]))
    except CannotDecode:
        return came
    pytest.fail("everything was undone")


@given(st.binary(max_size=300), st.lists(NAMES, min_size=1, max_size=2), st.integers(0, 2000), st.integers(1, 300))
def test_no_bytes_raise_anything_else_or_make_more_than_the_limit(
    body: bytes, names: list[bytes], limit: int, size: int
) -> None:
    packed = body if size % 2 else PACKED[names[-1]](body)
    decoder = decoder_for(((b"content-encoding", b",".join(names)),), limit=limit)
    try:
        for at in range(0, len(packed), size):
            assert len(decoder.feed(packed[at : at + size])) <= limit
        decoder.end()
    except CannotDecode:
        return
