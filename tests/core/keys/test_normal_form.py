"""Unicode normalisation takes time in proportion to the text, and is Unicode's own for every real text."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcache_core.keys.normal_form import normalised
from semcache_core.keys.text import fold

FORMS = ("NFC", "NFD", "NFKC", "NFKD")
HOSTILE = {
    "marks in the wrong order": "\u0301\u0316",
    "first one kind, then the other": "\u0301" * 500 + "\u0316" * 500,
    "marks that become two": "\u0344\u0316",
    "marks that become two kinds": "\u0f73\u0316",
    "sound marks of half width": "\uff9e\u0316",
    "letters that take marks": "a\u0316\u0301",
    "notes with stems": "\U0001d15e",
    "syllables in parts": "\u1100\u1161\u11a8",
    "vowel signs": "\u09c7\u09be",
    "letters that become a sentence": "\ufdfa",
    "symbols that take a stroke": "=\u0338",
}


@given(st.text(max_size=60), st.sampled_from(FORMS))
def test_a_text_has_the_form_that_unicode_gives_it(text: str, form: str) -> None:
    assert normalised(form, text) == unicodedata.normalize(form, text)


@given(st.text(st.characters(categories=["Mn", "Mc", "Me"]), max_size=29), st.sampled_from(FORMS))
def test_thirty_marks_on_a_letter_have_the_form_that_unicode_gives_them(marks: str, form: str) -> None:
    assert normalised(form, "e" + marks + "o") == unicodedata.normalize(form, "e" + marks + "o")


def test_a_longer_run_keeps_every_character() -> None:
    marks = "\u0301\u0316" * 100
    assert sorted(normalised("NFD", "e" + marks)) == sorted("e" + marks)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_text_takes_time_in_proportion(case: str, form: str, growth: Callable[..., float]) -> None:
    def work(length: int) -> None:
        normalised(form, "a" + HOSTILE[case] * (length // len(HOSTILE[case])))

    # Four times the text: 16 times as long if the work were quadratic.
    assert growth(work, 8_000, 32_000) < 9


def test_megabytes_of_combining_marks_are_folded_at_once(growth: Callable[..., float]) -> None:
    assert growth(lambda count: fold("a" + "\u0301" * count + "\u0316" * count), 30_000, 120_000) < 9
