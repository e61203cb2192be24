"""JSON lines and whole bodies: what comes in any pieces comes out the same, and what is no JSON is never judged."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcache_core.authoring.bodies import BodyRecorder, JsonRecorder, content_type, is_json
from semcache_core.authoring.ndjson import LineStream, framed
from semcache_core.protocols import Answer, AnswerHead, Refused

VALUES = st.lists(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=4), max_size=5)


@given(values=VALUES, cuts=st.sets(st.integers(0, 200)), ended=st.booleans())
def test_lines_come_out_whole_wherever_the_pieces_end(values: list[Any], cuts: set[int], ended: bool) -> None:
    data = b"".join(framed(json.dumps(value).encode()) for value in values)
    whole = data if ended else data.removesuffix(b"\n")
    edges = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    lines = LineStream()
    found = [line for begin, end in pairwise(edges) for line in lines.feed(whole[begin:end])]
    last = lines.end()
    assert [json.loads(line) for line in (*found, *([last] if last is not None else []))] == values


def test_blank_lines_are_dropped_and_carriage_returns_are_no_part_of_a_line() -> None:
    lines = LineStream()
    assert lines.feed(b'\n{"a": 1}\r\n  \r') == [b'{"a": 1}']
    assert lines.feed(b'\n{"b"') == []
    assert lines.end() == b'{"b"'
    assert LineStream().end() is None


def answer_of(body: bytes) -> Answer:
    return Answer(status=200, headers=(), body=body)


def test_a_body_is_judged_once_and_whole() -> None:
    judged: list[bytes] = []

    def judge(body: bytes) -> Answer | Refused:
        judged.append(body)
        return answer_of(body)

    first, second = BodyRecorder(judge), BodyRecorder(judge)
    for piece in (b"a", b"", b"b"):
        first.feed(piece)
    assert first.finish() == answer_of(b"ab")
    assert second.finish() == answer_of(b""), "two recorders share nothing"
    assert judged == [b"ab", b""]


def test_a_json_body_is_judged_decoded_and_as_it_came() -> None:
    recorder = JsonRecorder(lambda content, body: answer_of(body) if content == {"a": 1.0} else Refused("other"))
    recorder.feed(b'{"a" : ')
    recorder.feed(b"1.0}")
    assert recorder.finish() == answer_of(b'{"a" : 1.0}')


@pytest.mark.parametrize("body", [b"", b" \n", b"{]", b"\xff", b"[" * 40_000])
def test_what_is_no_json_is_never_judged(body: bytes) -> None:
    def judge(content: Any, body: bytes) -> Answer | Refused:
        pytest.fail("judged")

    recorder = JsonRecorder(judge)
    recorder.feed(body)
    assert recorder.finish() == Refused("malformed-answer", complete=False)


@pytest.mark.parametrize(
    "body", [b"{", b'{"a":', b'{"a": "text', b'{"a": tru', b'{"a": [1, 2', b'{"a": 1', b'{"a": "\\u00']
)
def test_json_that_breaks_off_is_cut_off(body: bytes) -> None:
    recorder = JsonRecorder(lambda content, body: answer_of(body))
    recorder.feed(body)
    assert recorder.finish() == Refused("malformed-answer", complete=False, cut_off=True)


def test_an_empty_body_may_be_a_refusal_of_its_own() -> None:
    recorder = JsonRecorder(lambda content, body: answer_of(body), if_empty=Refused("empty-answer"))
    recorder.feed(b" \n")
    assert recorder.finish() == Refused("empty-answer")


@pytest.mark.parametrize(
    ("value", "media_type", "json_"),
    [
        (b"Application/JSON; charset=utf-8", b"application/json", True),
        (b"application/problem+json", b"application/problem+json", True),
        (b"application/x-ndjson", b"application/x-ndjson", False),
        (b" text/plain ;x", b"text/plain", False),
    ],
)
def test_a_media_type_is_read_without_its_parameters(value: bytes, media_type: bytes, json_: bool) -> None:
    head = AnswerHead(200, ((b"x", b"y"), (b"content-type", value)))
    assert content_type(head) == media_type
    assert is_json(media_type) == json_
    assert content_type(AnswerHead(200, ())) == b""
