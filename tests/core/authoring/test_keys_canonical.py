"""A JSON body has one canonical form, or none: what two parsers may read differently is ambiguous."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcache_core.authoring.json_form import (
    Ambiguous,
    by_value,
    check_names,
    folded,
    in_order,
    parse,
    seal,
    sorted_names,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)
STYLES: list[dict[str, Any]] = [
    {"separators": (",", ":")},
    {"indent": 2},
    {"ensure_ascii": False},
    {"ensure_ascii": False, "separators": (" , ", " : ")},
]


def reason(body: bytes) -> str:
    with pytest.raises(Ambiguous) as caught:
        parse(body)
    return caught.value.reason


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"a":1}x',
        b"{'a':1}",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b"\xef\xbb\xbf{}",
        b'"\xff"',
        b'"\xed\xa0\x80"',
        rb'"\ud800"',
        rb'"\udc00 and text"',
        rb'{"a":"\ud800","a":1}',
        b'"\x00"',
        b"01",
        b"1.",
        b"+1",
        b"\x1f\x8b\x08",
        b"[" + b"9" * 5000 + b".]",
    ],
)
def test_what_is_no_strict_json_is_ambiguous(body: bytes) -> None:
    assert reason(body) == "ambiguous-json"


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"a":2}',
        rb'{"a":1,"\u0061":2}',
        rb'{"\u0061":1, "a" : 2}',
        b'{"x":[{"y":{"a":1,"b":2,"a":3}}]}',
        b'{"a":{"b":1},"a":{"b":1}}',
        b'{"":1,"":1}',
        '{"k\u0301":1,"k\u0301":2}'.encode(),
    ],
)
def test_duplicate_json_keys_at_any_depth_are_ambiguous(body: bytes) -> None:
    assert reason(body) == "ambiguous-duplicate"


def test_names_that_look_alike_are_no_duplicates() -> None:
    assert len(parse('{"k\u0301":1,"\u1e31":2,"K":3}'.encode())) == 3


@pytest.mark.parametrize(
    ("depth", "allowed"), [(1, True), (128, True), (129, False), (999, False), (10_000, False), (40_000, False)]
)
def test_more_than_128_levels_are_ambiguous(depth: int, allowed: bool) -> None:
    for body in (b"[" * depth + b"]" * depth, b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)):
        if allowed:
            parse(body)
        else:
            assert reason(body) == "ambiguous-depth"


def test_many_brackets_in_a_text_are_no_depth() -> None:
    assert parse(json.dumps(["[{" * 1000]).encode()) == ["[{" * 1000]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"1", b"1.0"),
        (b"1", b"true"),
        (b"0", b"false"),
        (b"0", b"-0"),
        (b"0.0", b"-0.0"),
        (b"0", b"-0.0"),
        (b"1.0", b"1.00"),
        (b"100", b"1e2"),
        (b"1e2", b"1E2"),
        (b"null", b'""'),
        (b"[]", b"{}"),
        (b'"1"', b"1"),
        (b"[1,2]", b"[2,1]"),
        (b'{"a":null}', b"{}"),
        (b"18446744073709551616", b"18446744073709551617"),
        (b"18446744073709551616", b"1.8446744073709551616e19"),
        (b"1e999", b"1e998"),
        (b'"\xc3\xa9"', b'"e\xcc\x81"'),
        (b'"a"', b'"A"'),
        (b'"a"', b'"a "'),
        (b'"K"', '"\u212a"'.encode()),
    ],
)
def test_values_that_differ_have_different_forms(one: bytes, other: bytes) -> None:
    assert in_order(parse(b'{"x":' + one + b"}")) != in_order(parse(b'{"x":' + other + b"}"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (rb'"\u00e9\/"', '"é/"'.encode()),
        (rb'"\ud83d\ude00"', '"😀"'.encode()),
        (rb'"\u0000"', rb'"\u0000"'),
        (b"[ 1 ,\t2\r\n]", b"[1,2]"),
        (b"18446744073709551616 ", b"18446744073709551616"),
        (b"-0 ", b"-0"),
        (b"1234567890123456789 ", b"1234567890123456789"),
    ],
)
def test_spellings_of_one_value_have_one_form(one: bytes, other: bytes) -> None:
    assert in_order(parse(one)) == in_order(parse(other))


@given(JSON, st.sampled_from(STYLES))
@settings(max_examples=300, deadline=None)
def test_the_way_a_value_is_written_never_changes_its_form(value: Any, style: dict[str, Any]) -> None:
    plain = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    assert in_order(parse(json.dumps(value, **style).encode())) == in_order(parse(plain))


@given(JSON, JSON)
@settings(max_examples=300, deadline=None)
def test_two_values_never_have_one_form(one: Any, other: Any) -> None:
    forms = [in_order(parse(json.dumps(value).encode())) for value in (one, other)]
    assert (forms[0] == forms[1]) == (json.dumps(one) == json.dumps(other))


@given(st.binary(max_size=60) | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
@settings(max_examples=500, deadline=None)
def test_no_bytes_make_the_parser_raise_anything_but_ambiguous(body: bytes) -> None:
    try:
        in_order(parse(body))
    except Ambiguous:
        pass


def test_what_is_sealed_keeps_its_order_inside_what_is_sorted() -> None:
    body = {"b": seal({"z": 1, "a": 2}), "a": {"z": 1, "a": 2}}
    assert sorted_names(body) == b'{"a":{"a":2,"z":1},"b":{"z":1,"a":2}}'


def test_sampling_numbers_compare_by_value() -> None:
    forms = {in_order(by_value(parse(body))) for body in (b"1", b"1.0", b"1e0", b"10E-1")}
    assert forms == {b"1.0"}
    assert in_order(by_value(parse(b"-0"))) == in_order(by_value(parse(b"0")))


@pytest.mark.parametrize("body", [b"true", b"null", b'"1"', b"1e999", b"36893488147419103232", b"9007199254740993"])
def test_what_no_float_holds_keeps_its_literal(body: bytes) -> None:
    value = parse(body)
    literal = in_order(by_value(value))
    assert literal in (body, in_order(float(body)) if body[:1].isdigit() else body)
    assert in_order(by_value(parse(b"9007199254740993"))) != in_order(by_value(parse(b"9007199254740992")))


@pytest.mark.parametrize("name", ["Role", "ROLE", "ſeed", "to\u212aens", "SEED"])
def test_a_name_that_differs_from_a_known_one_in_case_only_is_ambiguous(name: str) -> None:
    with pytest.raises(Ambiguous, match="ambiguous-case"):
        check_names([name], folded(["role", "seed", "tokens"]))


def test_two_unknown_names_that_differ_in_case_only_are_ambiguous() -> None:
    with pytest.raises(Ambiguous, match="ambiguous-case"):
        check_names(["topic", "Topic"], folded(["role"]))


def test_known_and_unknown_names_pass() -> None:
    check_names(["role", "topic", ""], folded(["role"]))
