"""Normalises phrases with several spellings, before anything else is read.

Each costs ordinary prose one search for a string that most questions do not contain.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from semcache_text_guard.language.english import AFTER_PRONOUN, COUNTED, MEASURES
from semcache_text_guard.language.units import NUMBER_WORDS

_MEASURED = re.compile(rf"\b[Hh]ow ({'|'.join(MEASURES)})\b")
_MEASURED_HINT = re.compile(rf"ow (?:{'|'.join(MEASURES)})")  # a literal start makes the search fast

_UNITED = re.compile(r"\b(?:[Uu]nited (?:[Ss]tates(?: [Oo]f [Aa]merica)?|([Kk])ingdom)|(?<=[Tt]he )us)\b")
_PHONE = re.compile(r"\b(?:cell|mobile) phone(?=s?\b)", re.IGNORECASE)
_WORLD_WAR = re.compile(r"\bww ?(i{1,2}|[12])\b", re.IGNORECASE)
# A prefix that changes the meaning is a part of its word: "non-toxic" is nontoxic, and not toxic.
_PREFIX = re.compile(r"\b(?:(non)[- ]|(un|anti|counter|dis|mis|ex)-)(?=[a-z]{2})", re.IGNORECASE)

_SMALL = rf"(\d{{1,4}}|{'|'.join(word for word, value in NUMBER_WORDS.items() if 0 < value < 20)})"
_HALVED = "(hour|day|week|month|year|mile|kilo|pound|liter|litre|cup)"
_PAST = re.compile(rf"\bhalf past {_SMALL}\b", re.IGNORECASE)
_HALF_A = re.compile(rf"\b(?:a )?half (?:an? |of an? )?{_HALVED}\b", re.IGNORECASE)
_ONE_AND_HALF = re.compile(rf"\b(?:an?|one) {_HALVED} and a half\b", re.IGNORECASE)
_AND_HALF = re.compile(rf"\b{_SMALL} and a half\b", re.IGNORECASE)

# "55x40 cm" is 55 x 40 cm, but 0x40 a number.
_SIZES = re.compile(r"(?<![\w.])(?!0x)\d{1,9}(?:\.\d{1,3})?(?:x\d{1,9}(?:\.\d{1,3})?){1,3}(?!x)")
# "8 in the evening", "eight in the evening" is 8 pm (CLDR day periods).
_HOURS = {word: str(hour) for word, hour in NUMBER_WORDS.items() if 1 <= hour <= 12}
_DAYTIME = re.compile(
    rf"(?<!the )(?<![\w-])(\d{{1,2}}(?::\d\d)?|{'|'.join(_HOURS)})(?: o'clock)? "
    r"(?:in the (morning|afternoon|evening)|at (night)|(noon|midday)|(midnight))\b"
)

# Single letters are numerals after a counted noun: "World War I", "type V" (Chicago Manual of Style, 9.64).
_NUMERAL = re.compile(rf"(?:\b(\w+) )?\b((?i:world war|{'|'.join(sorted(COUNTED))})) ([IVX])\b(?= (\w+))?", re.ASCII)
_NUMERALS = {"I": "1", "V": "5", "X": "10"}
_DETERMINERS = frozenset(("the", "this", "that", "which", "any", "every", "each", "my", "our"))


def settled(text: str) -> str:
    """Return the text with these phrases in one spelling."""
    for needle, settle in _PHRASES:
        if needle in text:
            text = settle(text)
    return text


def counted(text: str) -> str:
    """Return the text with single-letter numerals in figures; for a text with a word that a numeral may follow."""
    return _NUMERAL.sub(_counted, text)


def _counted(match: re.Match[str]) -> str:
    before, what, letter, after = match.groups(default="")
    # "The class I take", "a new book I wrote": there it is the pronoun.
    pronoun = before.lower() in _DETERMINERS or after in AFTER_PRONOUN or after.endswith("ed")
    if letter == "I" and pronoun and not what.lower().endswith("war"):
        return match[0]
    return match[0][:-1] + _NUMERALS[letter]


def _measured(text: str) -> str:
    """Ask "how tall" and the like as "what height"."""
    if _MEASURED_HINT.search(text) is None:
        return text
    return _MEASURED.sub(lambda match: f"what {MEASURES[match[1]]}", text)


def _in_figures(text: str) -> str:
    """Write halves in figures: "half past six", "half an hour", "an hour and a half", "two and a half hours"."""
    text = _PAST.sub(lambda match: f"{_figure(match[1])}:30", text)
    text = _HALF_A.sub(r"0.5 \1s", text)
    text = _ONE_AND_HALF.sub(r"1.5 \1s", text)
    return _AND_HALF.sub(lambda match: f"{_figure(match[1])}.5", text)


def _on_the_clock(match: re.Match[str]) -> str:
    time = _HOURS.get(match[1], match[1])
    forenoon = match[2] == "morning" or match[5] or (match[3] and int(time.partition(":")[0]) < 5)
    return f"{time} {'am' if forenoon else 'pm'}"


def _figure(number: str) -> int:
    return NUMBER_WORDS[number.lower()] if number.lower() in NUMBER_WORDS else int(number)


# A string that the phrase contains, and the function that normalises the phrase.
_PHRASES: tuple[tuple[str, Callable[[str], str]], ...] = tuple(
    (needle, settle)
    for needles, settle in (
        (("nited ", "he us"), partial(_UNITED.sub, lambda match: "UK" if match[1] else "USA")),
        (("WW", "ww"), partial(_WORLD_WAR.sub, r"world war \1")),
        ((" phone",), partial(_PHONE.sub, "cellphone")),
        (("ow ",), _measured),
        (("half",), _in_figures),
        (("noon", "night", "ning"), partial(_DAYTIME.sub, _on_the_clock)),
        (("x",), partial(_SIZES.sub, lambda match: match[0].replace("x", " x "))),
        (("-in-law",), lambda text: text.replace("-in-law", "inlaw")),
        (("with no ",), lambda text: text.replace("with no ", "without ")),
        (("-", "non "), partial(_PREFIX.sub, lambda match: match[1] or match[2])),
    )
    for needle in needles
)
