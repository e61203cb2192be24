"""Which texts may be compared by meaning, and what of them."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcache_core.keys.text import compared, exact_only_reason, fold, split_after
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


# A sample of every class that tokenizers drop or fonts do not show.
INVISIBLE = {
    "tag": "\U000e0041",
    "zero width space": "\u200b",
    "zero width joiner": "\u200d",
    "word joiner": "\u2060",
    "byte order mark": "\ufeff",
    "bidi override": "\u202e",
    "bidi isolate": "\u2067",
    "arabic letter mark": "\u061c",
    "variation selector": "\ufe0f",
    "supplementary variation selector": "\U000e0100",
    "mongolian variation selector": "\u180b",
    "soft hyphen": "\u00ad",
    "nul": "\x00",
    "escape": "\x1b",
    "vertical tab": "\x0b",
    "unit separator": "\x1f",
    "delete": "\x7f",
    "next line": "\x85",
    "private use": "\ue000",
    "supplementary private use": "\U00100000",
    "unassigned": "\U000e0fff",
    "noncharacter": "\ufdd0",
    "last noncharacter": "\U0010ffff",
    "interlinear annotation": "\ufff9",
    "grapheme joiner": "\u034f",
    "hangul filler": "\u3164",
    "hangul jamo filler": "\u115f",
    "halfwidth hangul filler": "\uffa0",
    "khmer inherent vowel": "\u17b4",
    "musical format": "\U0001d173",
    "musical null notehead": "\U0001d159",
    "invisible times": "\u2062",
    "braille blank": "\u2800",
    "replacement": "\ufffd",
    "object replacement": "\ufffc",
}
QUESTION = "How do I reset my account password?"


@pytest.mark.parametrize("hidden", INVISIBLE.values(), ids=INVISIBLE)
def test_a_text_with_a_character_that_is_not_seen_matches_exactly_only(hidden: str) -> None:
    assert {why(QUESTION[:place] + hidden + QUESTION[place:]) for place in (0, 5, len(QUESTION))} == {"invisible-text"}


@given(
    st.text(min_size=2, max_size=40),
    st.characters(categories=("Cc", "Cf", "Co", "Cn"), exclude_characters="\t\n\r")
    | st.sampled_from([*INVISIBLE.values()]),
    st.integers(0, 40),
)
def test_no_hidden_character_leaves_a_text_comparable(text: str, hidden: str, place: int) -> None:
    assert why(text[:place] + hidden + text[place:], Policy(min_words=0)) in ("invisible-text", "long-text")


def test_every_format_private_and_unassigned_character_counts_as_not_seen() -> None:
    hidden = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Cc", "Cf", "Co", "Cn")]
    assert [c for c in hidden if c not in "\t\n\r" and why(f"cancel{c}order now17") != "invisible-text"] == []


@pytest.mark.parametrize(
    "text",
    [
        "Was kostet das für zwei?",
        "Wo ist Łódź – und «Hawaiʻi»?",
        "€5 or ½ of 30 °C … ok?",
        "ยกเลิกคำสั่ง",
        "रद्द करें आदेश",
        "a\tb\r\nc d",
    ],
)
def test_accents_signs_and_line_breaks_are_seen(text: str) -> None:
    assert why(text) is None


@pytest.mark.parametrize(
    "word", ["to\u0301day", "t\u0336o\u0336d\u0336a\u0336y\u0336", "ｔｏｄａｙ", "TÖDAY", "to\u200bday", "to\u00adday"]
)
def test_a_volatile_word_in_other_letters_is_still_volatile(word: str) -> None:
    assert why(f"what is the weather in Rome {word}") in ("volatile", "invisible-text")


@pytest.mark.parametrize("phrase", ["aujourd'hui", "à l'heure", "今日", "Täglich"])
def test_a_volatile_phrase_may_have_accents_and_capitals(phrase: str) -> None:
    policy = Policy(volatile=(phrase,))
    assert why(f"Quel temps {phrase} Rome", policy) == "volatile"
    assert why("Quel temps demain Rome", policy) is None


@pytest.mark.parametrize("hidden", ["\u200b", "\u00ad", "\U000e0041"])
def test_hidden_characters_make_no_words(hidden: str) -> None:
    assert why(f"yes{hidden}please{hidden}cancel") == "invisible-text"


def test_words_of_any_length_make_a_text_too_long() -> None:
    assert why("see " + "x" * 1020) is None
    assert why("see " + "x" * 1021) == "long-text"


@pytest.mark.parametrize("unit", ["word ", "x", "\u0301\u0316", "\u200b", "取", "e\u0301", "ｔ", "ﷺ"])
def test_judging_a_text_takes_the_same_time_at_any_length(unit: str) -> None:
    text = unit * 400_000
    began = time.perf_counter()
    assert exact_only_reason(text, POLICY) is not None
    assert time.perf_counter() - began < 0.1


def test_a_text_of_megabytes_is_not_even_folded() -> None:
    text = "ab  cd\n" * 600_000
    began = time.thread_time()
    folded, reason = compared(text, POLICY)
    assert time.thread_time() - began < 0.01
    assert folded is text
    assert reason == "long-text"


@pytest.mark.parametrize("text", ["what is  the refund window", "", "yes", "what is the weather today"])
def test_a_shorter_text_is_folded_and_judged(text: str) -> None:
    assert compared(text, POLICY) == (fold(text), why(text))
