"""Event streams are taken apart by event, whatever the network makes of them, and codings are undone within bounds."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcache_core.authoring.sse import Event, EventStream, framed
from semcache_core.http import coding
from semcache_core.http.coding import CannotDecode, decoded, decoder_for

brotli = pytest.importorskip("brotli")
zstandard = pytest.importorskip("zstandard")

LIMIT = 1 << 20
TEXT = b'{"answer": "' + b"the same words again and again, " * 200 + b'"}'


def taken_apart(*chunks: bytes) -> list[Event]:
    """Return the events of a stream that arrives in these chunks."""
    stream = EventStream()
    events = [event for chunk in chunks for event in stream.feed(chunk)]
    last = stream.end()
    return events if last is None else [*events, last]


def test_an_event_ends_at_a_blank_line() -> None:
    assert taken_apart(b"data: a\n\ndata: b\n\n") == [Event(b"a"), Event(b"b")]


def test_an_event_keeps_its_name_and_joins_its_data_lines() -> None:
    assert taken_apart(b"event: error\ndata: one\ndata:two\n\n") == [Event(b"one\ntwo", b"error")]


def test_comments_pings_and_unknown_fields_are_dropped() -> None:
    assert taken_apart(b": ping\n\nid: 7\nretry: 10\ndata: a\n\n: end\n\n") == [Event(b"a")]


def test_an_event_without_its_last_blank_line_counts_at_the_end() -> None:
    assert taken_apart(b"data: [DONE]") == [Event(b"[DONE]")]


def test_only_one_space_after_the_colon_is_taken_off() -> None:
    assert taken_apart(b"data:  a\n\n") == [Event(b" a")]


def test_a_byte_order_mark_at_the_start_is_dropped() -> None:
    assert taken_apart(b"\xef", b"\xbb\xbfdata: a\n\n") == [Event(b"a")]


LINE = st.binary(max_size=12).map(lambda data: data.replace(b"\r", b"").replace(b"\n", b""))


@given(
    st.lists(st.lists(LINE, min_size=1, max_size=3), max_size=5),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.lists(st.integers(0, 400), max_size=12),
)
def test_where_the_network_cuts_a_stream_changes_no_event(
    events: list[list[bytes]], ending: bytes, cuts: list[int]
) -> None:
    body = b"".join(b"".join(b"data: " + line + ending for line in lines) + ending for lines in events)
    places = sorted({min(cut, len(body)) for cut in cuts})
    chunks = [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]
    assert taken_apart(*chunks) == [Event(b"\n".join(lines)) for lines in events]


@given(st.binary(max_size=60))
def test_every_byte_by_itself_is_the_same_as_all_at_once(body: bytes) -> None:
    assert taken_apart(*(body[i : i + 1] for i in range(len(body)))) == taken_apart(body)


@given(LINE, LINE)
def test_what_is_framed_is_read_back(first: bytes, second: bytes) -> None:
    data = first + b"\n" + second
    assert taken_apart(framed(data, name=b"delta")) == [Event(data, b"delta")]


# -- content codings --------------------------------------------------------------------------------------------------


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKED = {
    b"gzip": gzip.compress,
    b"x-gzip": gzip.compress,
    b"deflate": zlib.compress,
    b"Deflate": raw_deflate,
    b"br": brotli.compress,
    b"zstd": zstandard.ZstdCompressor().compress,
    b"identity": bytes,
}


@pytest.mark.parametrize("name", PACKED, ids=lambda name: name.decode())
def test_each_coding_is_undone(name: bytes) -> None:
    assert decoded(((b"content-encoding", name),), PACKED[name](TEXT), limit=LIMIT) == TEXT


@pytest.mark.parametrize("name", PACKED, ids=lambda name: name.decode())
@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_coding_is_undone_whatever_the_pieces(name: bytes, size: int) -> None:
    packed = PACKED[name](TEXT)
    decoder = decoder_for(((b"content-encoding", name),), limit=LIMIT)
    content = b"".join(decoder.feed(packed[at : at + size]) for at in range(0, len(packed), size))
    decoder.end()
    assert content == TEXT


@pytest.mark.parametrize("name", [name for name in PACKED if name != b"identity"], ids=lambda name: name.decode())
def test_a_body_that_is_cut_off_is_no_content(name: bytes) -> None:
    with pytest.raises(CannotDecode):
        decoded(((b"content-encoding", name),), PACKED[name](TEXT)[:-3], limit=LIMIT)


@pytest.mark.parametrize("name", [name for name in PACKED if name != b"identity"], ids=lambda name: name.decode())
def test_a_small_body_cannot_unfold_beyond_the_limit(name: bytes) -> None:
    bomb = PACKED[name](bytes(20 << 20))
    with pytest.raises(CannotDecode):
        decoded(((b"content-encoding", name),), bomb, limit=64 * 1024)


@pytest.mark.parametrize("name", [b"gzip", b"deflate", b"br", b"zstd"], ids=lambda name: name.decode())
def test_a_broken_body_is_no_content(name: bytes) -> None:
    with pytest.raises(CannotDecode):
        decoded(((b"content-encoding", name),), b"\x1f\x8b\x08 not packed at all", limit=LIMIT)


def test_two_codings_are_undone_in_reverse_order() -> None:
    packed = brotli.compress(gzip.compress(TEXT))
    assert decoded(((b"content-encoding", b"gzip, br"),), packed, limit=LIMIT) == TEXT


def test_several_gzip_members_are_one_content() -> None:
    packed = gzip.compress(TEXT[:50]) + gzip.compress(TEXT[50:])
    assert decoded(((b"content-encoding", b"gzip"),), packed, limit=LIMIT) == TEXT


@pytest.mark.parametrize("name", [b"compress", b"aws-chunked", b"gzip, br, zstd"])
def test_an_unknown_coding_cannot_be_undone(name: bytes) -> None:
    with pytest.raises(CannotDecode):
        decoder_for(((b"content-encoding", name),), limit=LIMIT)


def test_without_their_libraries_br_and_zstd_cannot_be_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coding, "brotli", None)
    monkeypatch.setattr(coding, "zstandard", None)
    for name in (b"br", b"zstd"):
        with pytest.raises(CannotDecode):
            decoder_for(((b"content-encoding", name),), limit=LIMIT)


@given(st.binary(max_size=200), st.sampled_from([b"gzip", b"deflate", b"br", b"zstd"]))
def test_no_bytes_make_a_decoder_raise_anything_else(body: bytes, name: bytes) -> None:
    try:
        decoded(((b"content-encoding", name),), body, limit=LIMIT)
    except CannotDecode:
        return


@pytest.mark.parametrize(
    ("accepts", "offered"),
    [
        (b"gzip, deflate, br, zstd", b"gzip, deflate, br, zstd"),
        (b"gzip;q=0.5", b"gzip;q=0.5"),
        (b"gzip, dcb, dcz", b"gzip"),
        (b"compress", b"identity"),
        (b"gzip, *;q=0.1", b"gzip"),
        (b"identity;q=0, *;q=0, gzip", b"identity;q=0, *;q=0, gzip"),
        (b"", b""),
    ],
)
def test_upstream_is_offered_the_codings_that_can_be_undone(accepts: bytes, offered: bytes) -> None:
    assert coding.acceptable(accepts) == offered


def test_without_their_libraries_br_and_zstd_are_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coding, "brotli", None)
    monkeypatch.setattr(coding, "zstandard", None)
    assert coding.missing() == ("brotli>=1.2", "zstandard>=0.23")
    assert coding.acceptable(b"gzip, deflate, br, zstd") == b"gzip, deflate"
    assert coding.acceptable(b"br") == b"identity"
