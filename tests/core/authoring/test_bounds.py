"""Reading JSON and framings takes time in proportion to what came, and too much structure is refused unread."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcache_core.authoring.bodies import JsonRecorder, TooComplex, decode_json
from semcache_core.authoring.json_form import MAX_VALUES, Ambiguous, by_value, in_order, outside_strings, parse
from semcache_core.authoring.ndjson import LineStream
from semcache_core.authoring.sse import EventStream
from semcache_core.protocols import Answer, Refused

MEBIBYTE = 1 << 20
LENGTH = 4 * MEBIBYTE
TREES = {
    "nested lists": b"[" + (b"[" * 60 + b"]" * 60 + b",") * (LENGTH // 121) + b"[]]",
    "empty lists": b"[" + b"[]," * (LENGTH // 3) + b"[]]",
    "empty objects": b"[" + b"{}," * (LENGTH // 3) + b"{}]",
    "objects": b"[" + b'{"a":1.5},' * (LENGTH // 10) + b"{}]",
    "members": b"{" + b",".join([b'"%x":1' % number for number in range(LENGTH // 10)]) + b"}",
    "names twice": b"[" + b'{"a":1,"a":2},' * (LENGTH // 14) + b"{}]",
}
LISTS = {
    "integers": b"[" + b"1," * (LENGTH // 2) + b"1]",
    "numbers": b"[" + b"1.5," * (LENGTH // 4) + b"1]",
    "minus zeros": b"[" + b"-0," * (LENGTH // 3) + b"1]",
    "strings": b"[" + b'"",' * (LENGTH // 3) + b'""]',
    "quotes": b'"' * LENGTH,
}
TEXTS = {
    "one string": b'"' + b"a, [b] {c} " * (LENGTH // 11) + b'"',
    "escapes": b'"' + rb"\n\"\\" * (LENGTH // 6) + b'"',
    "unicode escapes": b'"' + rb"\u00e9" * (LENGTH // 6) + b'"',
    "white space": b" " * LENGTH + b"1",
    "many spaces": b"[" + b" 1 ,\n" * 40_000 + b"1]",
}
NUMBERS = {
    "a fraction": b"0." + b"1" * LENGTH,
    "an integer": b"1" * LENGTH,
    "many integers": b"[" + (b"1" * 4000 + b",") * (LENGTH // 4001) + b"1]",
    "an exponent": b"1e" + b"9" * LENGTH,
}


def seconds(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


def refusal(body: bytes) -> str:
    with pytest.raises(Ambiguous) as caught:
        parse(body)
    return caught.value.reason


@pytest.mark.parametrize("case", [*TREES, *LISTS])
def test_a_request_with_too_much_structure_is_refused_before_it_is_read(case: str) -> None:
    body = (TREES | LISTS)[case]
    assert refusal(body) == "body-too-complex"
    assert seconds(lambda: refusal(body)) < 0.25


@pytest.mark.parametrize("case", TEXTS)
def test_a_long_text_is_read_however_it_is_written(case: str) -> None:
    body = TEXTS[case]
    assert parse(body) == json.loads(body)
    assert seconds(lambda: parse(body)) < 0.5


@pytest.mark.parametrize("case", NUMBERS)
def test_a_number_with_thousands_of_digits_is_ambiguous(case: str) -> None:
    assert refusal(NUMBERS[case]) == "ambiguous-json"
    assert seconds(lambda: refusal(NUMBERS[case])) < 0.25


@pytest.mark.parametrize(
    "literal", [b"1" * LENGTH, b"0." + b"1" * LENGTH, b"0." + b"0" * LENGTH + b"1", b"1e999999999"]
)
def test_a_number_compares_by_value_in_no_time(literal: bytes) -> None:
    assert seconds(lambda: by_value(msgspec.Raw(literal))) < 0.1


def test_fifty_thousand_elements_are_read_and_one_more_is_not() -> None:
    assert len(parse(in_order([1] * MAX_VALUES))) == MAX_VALUES
    assert refusal(in_order([1] * (MAX_VALUES + 1))) == "body-too-complex"


TEXT = st.text(st.sampled_from('"\\,[]{}:a1 é\n'), max_size=8)


@given(
    st.recursive(
        TEXT | st.integers() | st.none(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    )
)
def test_structure_is_counted_outside_strings(value: Any) -> None:
    def structure(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ",".join(f":{structure(each)}" for each in value.values()) + "}"
        if isinstance(value, list):
            return "[" + ",".join(map(structure, value)) + "]"
        return "" if isinstance(value, str) else json.dumps(value)

    assert outside_strings(json.dumps(value, separators=(",", ":")).encode()) == structure(value).encode()


@pytest.mark.parametrize("case", TREES)
def test_an_answer_with_too_much_structure_is_refused_before_it_is_read(case: str) -> None:
    recorder = JsonRecorder(lambda content, body: pytest.fail("judged"))
    recorder.feed(TREES[case])
    assert recorder.finish() == Refused("too-complex")
    with pytest.raises(TooComplex):
        decode_json(TREES[case])
    assert seconds(recorder.finish) < 0.25


@pytest.mark.parametrize("case", ["integers", "numbers"])
def test_an_answer_of_numbers_is_read(case: str) -> None:
    assert len(decode_json(LISTS[case])) > MAX_VALUES
    assert seconds(lambda: decode_json(LISTS[case])) < 0.5


def test_an_answer_in_single_bytes_takes_no_more_memory_than_its_length(peak: Callable[..., int]) -> None:
    def record() -> None:
        recorder = JsonRecorder(lambda content, body: Answer(status=200, headers=(), body=body))
        for _ in range(MEBIBYTE // 2):
            recorder.feed(b"11")
        recorder.finish()

    assert peak(record) < 5 * MEBIBYTE


@pytest.mark.parametrize("make", [EventStream, LineStream], ids=["events", "lines"])
def test_one_line_of_many_pieces_takes_time_in_proportion(make: Any, growth: Callable[..., float]) -> None:
    def feed(pieces: int) -> None:
        stream = make()
        for _ in range(pieces):
            stream.feed(b"a")
        stream.end()

    assert growth(feed, 30_000, 120_000) < 9


@pytest.mark.parametrize("piece", [b"data: a\n\ndata: ", b"\r", b"\r\n", b"\n", b":\n\n", b"data:\n", b"data: {}\n\n"])
def test_many_events_of_any_form_take_time_in_proportion(piece: bytes, growth: Callable[..., float]) -> None:
    def at_once(pieces: int) -> None:
        stream = EventStream()
        stream.feed(piece * pieces)
        stream.end()

    def one_by_one(pieces: int) -> None:
        stream = EventStream()
        for _ in range(pieces):
            stream.feed(piece)
        stream.end()

    assert growth(at_once, 10_000, 40_000) < 9
    assert growth(one_by_one, 10_000, 40_000) < 9
