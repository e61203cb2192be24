"""Event streams are taken apart by event, whatever the network makes of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from semcache_core.authoring.sse import Event, EventStream, framed


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
