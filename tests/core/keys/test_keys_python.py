"""Keys of library calls: equal prompts in equal contexts, and nothing else, are one entry."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcache_core.keys.digests import Digests, members_of
from semcache_core.keys.python import PythonKeys
from semcache_core.settings import Policy
from semcache_core.types import Bypass, Query

SECRET = b"a secret of sixteen bytes or more"
KEYS = PythonKeys(Digests(SECRET), policy=Policy())
TEXT = "What is the refund window?"


def query(prompt: str = TEXT, context: Any = None, *, keys: PythonKeys = KEYS, namespace: str | None = None) -> Query:
    made = keys.of(prompt, context, namespace=namespace)
    assert isinstance(made, Query)
    return made


def test_the_same_call_has_the_same_query() -> None:
    one, other = query(context={"a": 1, "b": [1.5]}), query(context={"b": [1.5], "a": 1})
    assert (one.entry_id, one.exact, one.scope, one.store_scope, one.flight) == (
        other.entry_id,
        other.exact,
        other.scope,
        other.store_scope,
        other.flight,
    )
    assert [len(part) for part in (one.partition, one.entry_id, one.exact, one.scope, one.store_scope, one.flight)] == [
        16,
        16,
        16,
        16,
        32,
        32,
    ]


def test_another_prompt_is_another_entry_in_the_same_scope() -> None:
    one, other = query(), query("How long may I return things?")
    assert one.entry_id != other.entry_id
    assert one.store_scope == other.store_scope


def test_keys_change_nothing_about_case_or_white_space() -> None:
    assert (
        len(
            {query(text).entry_id for text in (TEXT, TEXT.lower(), TEXT + " ", " " + TEXT, TEXT.replace(" ", "\u00a0"))}
        )
        == 5
    )


def test_lower_casing_before_hashing_would_merge_two_prompts() -> None:
    assert query("Who is Turkey's minister?").exact != query("Who is turkey's minister?").exact


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (None, {}),
        ({}, []),
        ({"a": 1}, {"a": 1.0}),
        ({"a": 1}, {"a": True}),
        ({"a": None}, {}),
        ({"a": "1"}, {"a": 1}),
        ([1, 2], [2, 1]),
        ({"a": {"b": 1}}, {"a": {"b": 2}}),
        ({"K": 1}, {"\u212a": 1}),
        (0.0, -0.0),
        ("", None),
        ("x", ["x"]),
    ],
)
def test_unequal_contexts_share_nothing(one: Any, other: Any) -> None:
    assert query(context=one).entry_id != query(context=other).entry_id
    assert query(context=one).store_scope != query(context=other).store_scope


def test_two_namespaces_share_nothing() -> None:
    one, other = query(namespace="a"), query(namespace="b")
    for name in ("partition", "entry_id", "exact", "scope", "store_scope", "flight"):
        assert getattr(one, name) != getattr(other, name)
    assert one.namespace == "a"


def test_two_cached_functions_with_equal_arguments_share_nothing() -> None:
    makers = [
        KEYS,
        KEYS.function("shop", "answer"),
        KEYS.function("shop", "Desk.answer"),
        KEYS.function("bank", "answer"),
        KEYS.function("shop", "answer", "2"),
        KEYS.function("sho", "panswer"),
    ]
    queries = [query(context={"x": 1}, keys=keys) for keys in makers]
    for name in ("partition", "entry_id", "store_scope", "flight"):
        assert len({getattr(each, name) for each in queries}) == len(queries)


def test_another_secret_gives_other_digests() -> None:
    other = query(keys=PythonKeys(Digests(b"another secret of many bytes"), policy=Policy()))
    assert {other.partition, other.entry_id, other.exact}.isdisjoint(
        {query().partition, query().entry_id, query().exact}
    )


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="16"):
        Digests(b"short")


LOOP: list[Any] = []
LOOP.append(LOOP)


class Colour(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize(
    ("context", "place"),
    [
        ({"a": (1, 2)}, "context.a"),
        ({"a": {1, 2}}, "context.a"),
        ({"a": [b"x"]}, r"context.a\[0\]"),
        ({1: "x"}, "context"),
        (float("nan"), "context"),
        ({"a": float("inf")}, "context.a"),
        (datetime.date(2026, 1, 1), "context"),
        ({"a": Colour.RED}, "context.a"),
        (LOOP, "holds itself"),
    ],
)
def test_a_context_that_is_not_json_is_a_type_error_that_names_the_place(context: Any, place: str) -> None:
    with pytest.raises(TypeError, match=place):
        KEYS.of(TEXT, context)


def test_a_prompt_that_is_no_str_is_a_type_error_without_the_prompt_in_it() -> None:
    with pytest.raises(TypeError, match="bytes") as caught:
        KEYS.of(b"a private prompt")  # type: ignore[arg-type]
    assert "private" not in str(caught.value)


def test_a_text_with_a_lone_surrogate_is_bypassed() -> None:
    assert KEYS.of("\ud800") == Bypass(reason="ambiguous-text")
    assert KEYS.of(TEXT, {"a": "\ud800"}) == Bypass(reason="ambiguous-text")


def test_a_query_never_shows_its_prompt() -> None:
    one = query(context={"refund": "refund"})
    assert "refund" not in repr(one) + repr(one.nearby_of)


def test_a_marker_puts_what_stands_before_it_into_the_scope() -> None:
    keys = PythonKeys(Digests(SECRET), policy=Policy(compare_after="Question:"))
    one, same, other = (
        query(f"{contract} Question: {asked}", keys=keys)
        for contract, asked in [
            ("The fee is 5.", "Who must pay the fee?"),
            ("The fee is 5.", "By whom is it paid?"),
            ("The fee is 6.", "Who must pay the fee?"),
        ]
    )
    assert one.store_scope == same.store_scope != other.store_scope
    assert one.text == "Who must pay the fee?"


def test_the_rules_of_the_policy_say_what_matches_exactly_only() -> None:
    assert query().exact_only is None
    assert query("yes").exact_only == "few-words"
    assert query("word " * 100).exact_only == "long-text"


def test_where_only_equal_prompts_count_no_text_may_be_compared() -> None:
    keys = PythonKeys(Digests(SECRET), policy=Policy(match="exact"))
    assert query(keys=keys).exact_only == query("word " * 100, keys=keys).exact_only == "exact-mode"


def test_the_member_of_the_context_that_split_two_keys_is_named() -> None:
    one = dict(members_of(query(context={"tenant": 1, "lang": "en"}).fields))
    other = dict(members_of(query(context={"tenant": 2, "lang": "en"}).fields))
    assert {name for name in one if one[name] != other[name]} == {"context.tenant"}
    assert query().fields == b""
    assert members_of(b"\xff not packed") == []
    assert [name for name, _ in members_of(query(context=[1]).fields)] == ["context"]


def test_namespaces_made_of_user_ids_do_not_grow_the_keys_for_ever() -> None:
    keys = PythonKeys(Digests(SECRET), policy=Policy())
    ids = {query(keys=keys, namespace=f"user-{number}").partition for number in range(3000)}
    assert len(ids) == 3000
    assert len(keys._places) <= 1024


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
CONTEXTS = st.none() | st.dictionaries(TEXTS, st.none() | st.booleans() | st.integers(-9, 9) | TEXTS, max_size=3)


@given(st.tuples(TEXTS, CONTEXTS, TEXTS), st.tuples(TEXTS, CONTEXTS, TEXTS))
@settings(max_examples=300, deadline=None)
def test_only_equal_calls_have_equal_entry_ids(one: tuple[str, Any, str], other: tuple[str, Any, str]) -> None:
    ids = [query(prompt, context, namespace=namespace).entry_id for prompt, context, namespace in (one, other)]
    assert (ids[0] == ids[1]) == (_typed(one) == _typed(other))


def _typed(call: tuple[str, Any, str]) -> object:
    prompt, context, namespace = call
    members = (
        None if context is None else sorted((name, type(value).__name__, value) for name, value in context.items())
    )
    return prompt, repr(members), namespace


def test_a_context_is_checked_in_time_in_proportion_to_its_size(growth: Callable[..., float]) -> None:
    def work(length: int) -> None:
        KEYS.of(TEXT, {"n" * length: [1.5] * length})

    # Four times the length: 16 times as long if each element's place were spelt out.
    assert growth(work, 10_000, 40_000) < 9
