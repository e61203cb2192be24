"""Which texts may be compared by meaning, and what of them."""

from __future__ import annotations

import pytest

from semcache_core.keys.text import exact_only_reason, fold, split_after
from semcache_core.settings import Policy

POLICY = Policy()


def why(text: str, policy: Policy = POLICY) -> str | None:
    return exact_only_reason(fold(text), policy)


def test_folding_composes_characters_and_white_space() -> None:
    assert fold(" a\t\tb\u00a0c\n e\u0301 ") == "a b c é"


def test_folding_keeps_case_and_width() -> None:
    assert fold("Paris ＰＡＲＩＳ ﬁ") == "Paris ＰＡＲＩＳ ﬁ"


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_an_empty_text_matches_exactly_only(text: str) -> None:
    assert why(text) == "empty-text"


@pytest.mark.parametrize("text", ["yes", "yes, cancel it", "No.", "ok do that", "?!", "the", "हाँ", "네"])
def test_a_text_of_few_content_words_matches_exactly_only(text: str) -> None:
    assert why(text) == "few-words"


@pytest.mark.parametrize(
    "text", ["what is python", "cancel order 17", "你好", "ありがとう", "ยกเลิก", "Как отменить заказ", "रद्द करें आदेश"]
)
def test_a_question_may_match_by_meaning(text: str) -> None:
    assert why(text) is None


def test_each_han_kana_or_thai_character_counts_as_one_word() -> None:
    assert why("取", Policy(min_words=2)) == "few-words"
    assert why("取消", Policy(min_words=2)) is None
    assert why("取" * 64) is None
    assert why("取" * 65) == "long-text"


def test_a_text_of_more_words_than_allowed_matches_exactly_only() -> None:
    assert why("word " * 64) is None
    assert why("word " * 65) == "long-text"
    assert why("word " * 5, Policy(max_words=4)) == "long-text"


@pytest.mark.parametrize(
    "text",
    ["What is the weather today?", "the LATEST python release", "plans for this  week please", "Now which bus leaves?"],
)
def test_volatile_text_matches_exactly_only(text: str) -> None:
    assert why(text) == "volatile"


@pytest.mark.parametrize(
    "text", ["who knows the answer", "nowhere to be found", "recurrent neural networks", "todays_date column"]
)
def test_volatile_words_count_as_whole_words(text: str) -> None:
    assert why(text) is None


def test_volatile_phrases_are_configurable() -> None:
    assert why("what is the weather today", Policy(volatile=())) is None
    assert why("price (USD) of gold bars", Policy(volatile=("(usd)",))) == "volatile"


def test_what_stands_before_the_last_marker_is_not_compared() -> None:
    assert split_after(("Contract. Question: old? Question: who signs?",), "Question:") == (
        ("Contract. Question: old? Question:",),
        " who signs?",
    )


def test_parts_before_the_marker_stay_apart() -> None:
    assert split_after(("a", "b Q: c", "d"), "Q:") == (("a", "b Q:"), " c\nd")
    assert split_after(("a Q: b", "c"), "Q:") == (("a Q:",), " b\nc")


def test_without_a_marker_the_whole_text_is_compared() -> None:
    assert split_after(("a", "b"), None) == ((), "a\nb")
    assert split_after(("a", "b"), "Q:") == ((), "a\nb")
    assert split_after((), "Q:") == ((), "")


def test_a_text_of_megabytes_is_judged_without_reading_it_all() -> None:
    assert why("word " * 1_000_000) == "long-text"
    assert why("x" * 1_000_000) == "few-words"
