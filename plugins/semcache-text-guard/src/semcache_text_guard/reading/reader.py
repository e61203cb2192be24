"""Reads the words of a text in one pass, once its figures and symbols are placeholders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from semcache_text_guard.language.english import COUNTED, ONE_UNIT
from semcache_text_guard.language.lexicon import Word, look_up
from semcache_text_guard.language.units import NUMBER_WORDS, ORDINALS, ROMAN, SCALES, UNITS

from .folding import PLACEHOLDER
from .quantities import Literal, plain, quantity

_TOKEN = re.compile(r"[^\W\d_\ue000-\uf8ff]+(?:'[^\W\d_\ue000-\uf8ff]+)?|[\ue000-\uf8ff.!?:]")

_CAPITAL = re.compile("[A-Z]")


class Reader:
    """One pass over the tokens of a text."""

    def __init__(self, found: list[Literal]) -> None:
        self.found = found
        self.words: list[Word] = []
        self.names: set[str] = set()
        self.negators: list[int] = []  # places in ``words`` right after a negation
        self.owners: set[str] = set()
        self.counted = False  # there is a word that a numeral may follow
        self._yets: list[int] = []  # places right after a "yet"
        self._ordinals: list[tuple[int, int]] = []  # places right after a "second" or more; where it is in ``found``
        self._spelled: list[str] = []
        self._shouting: bool | None = None
        self._text = ""

    def read(self, text: str) -> None:
        """Read all words; most are known as written between spaces and need no analysis."""
        self._text = text
        words, spelled = self.words, self._spelled
        start = True  # a capital has no meaning at the start of a sentence, nor if most words have one
        for chunk in text.split():
            known = _KNOWN.get(chunk)
            if known is not None and not spelled:
                words.append(known)
                start = False
                continue
            for raw in _tokens(chunk):
                start = self._read_token(raw, start=start)
        self._close_number("")
        self._settle()

    def _settle(self) -> None:
        """Decide the cases that depend on the next word."""
        words = self.words
        for place, found_at in self._ordinals:  # the second largest is another one than the largest
            if place < len(words) and words[place].form.endswith(_SUPERLATIVES):
                self.found[found_at] = msgspec.structs.replace(self.found[found_at], soft=False)
        # "It has yet to arrive": it has not.
        self.negators += [place + 1 for place in self._yets if place < len(words) and words[place].form == "to"]

    def _read_token(self, raw: str, *, start: bool) -> bool:
        """Read a word, an item or a full stop; return whether a sentence may start after it."""
        known = _KNOWN.get(raw)
        if known is not None and not self._spelled:
            self.words.append(known)
        elif raw in _STOPS:
            return True
        elif "\ue000" <= raw <= "\uf8ff":
            self._close_number("")
            self.words.append(_item(self.found[ord(raw[0]) - PLACEHOLDER]))
        else:
            self._read_word(raw, start=start, named=self._looks_named(raw, start=start))
        return False

    def _looks_named(self, raw: str, *, start: bool) -> bool:
        capital = "A" <= raw < "[" or (raw > "\x7f" and raw[0].isupper())
        return capital and (not start or raw.isupper()) and (len(raw) == 1 or not self._shouts())

    def _shouts(self) -> bool:
        """Say whether most words begin with a capital."""
        if self._shouting is None:
            self._shouting = not self._whispers() and self._mostly_capitals()
        return self._shouting

    def _whispers(self) -> bool:
        """True if there are too few capitals anywhere: the common case, at a fraction of the cost."""
        text = self._text
        return text.isascii() and 2 * len(_CAPITAL.findall(text)) <= sum(map(str.isalpha, text.split()))

    def _mostly_capitals(self) -> bool:
        tokens: list[str] = _TOKEN.findall(self._text)
        return 2 * sum([token[0].isupper() for token in tokens]) > len(tokens) + 1

    def _read_word(self, raw: str, *, start: bool, named: bool) -> None:
        words, lower = self.words, raw.lower()
        if "'" in lower:
            lower = self._contracted(lower)
        word = look_up(lower)
        if self._spells(word) or self._close_number(lower) or self._is_numeral(raw, lower):
            return
        if lower in ONE_UNIT and words and words[-1].form in _INDEFINITE:
            self._add(quantity("1", negative=False, scale=None, unit=lower, money=None, soft=True))
        if word.plain and _is_context_free(raw, word) and len(_KNOWN) < _MAX_KNOWN:
            _KNOWN[raw] = word
        words.append(self._named(raw, word, start=start) if named else word)
        if not word.plain:
            self._note(lower, words[-1])

    def _is_numeral(self, raw: str, lower: str) -> bool:
        """Add a Roman numeral; return False for any other word."""
        if lower not in ROMAN or not (raw[: len(lower)].isupper() or (raw[0].islower() and lower not in _LOWER_WORDS)):
            return False
        self._add(Literal("numbers", str(ROMAN[lower]), str(ROMAN[lower])))
        return True

    def _note(self, lower: str, word: Word) -> None:
        """Note the properties of the last word that later words depend on."""
        here = len(self.words)
        if lower in COUNTED:
            self.counted = True
        if word.negates:
            self.negators.append(here)
        elif lower == "yet":
            self._yets.append(here)
        elif lower in ORDINALS:
            value = str(ORDINALS[lower])
            if lower != "first":
                self._ordinals.append((here, len(self.found)))
            self.found.append(Literal("numbers", value + "th", value, soft=True))

    def _spells(self, word: Word) -> bool:
        """Add a word of a spelled number; return False for any other."""
        spelled = self._spelled
        if word.number is None:
            counted = word.form in _LARGE or (self.words and self.words[-1].form == "a")  # million dollars, a dozen
            if not spelled and word.form in _ROUND and counted:
                spelled.append("one")
            elif not spelled or not (word.form in SCALES or (word.form == "and" and spelled[-1] in SCALES)):
                return False
        if len(spelled) == _MAX_SPELLED:
            self._close_number("")
        spelled.append(word.form)
        return True

    def _contracted(self, lower: str) -> str:
        head, _, tail = lower.rpartition("'")
        if tail == "t":
            self.negators.append(len(self.words) + 1)
            return head.removesuffix("n") or head
        if tail == "s" and "relation" in look_up(head).sets:
            self.owners.add(look_up(head).key)
        return head if tail in _TAILS else head + tail

    def _named(self, raw: str, word: Word, *, start: bool) -> Word:
        """Return the word, marked as a proper name if its capital says so."""
        acronym = len(raw) > 1 and raw.isupper()
        if len(raw) == 1 and raw != "I" and not start and not word.open:  # plan A, vitamin D
            word = look_up(f"letter {raw}")
        elif raw in _NAMES_TOO and not (start and raw == "Go"):
            word = look_up(_NAMES_TOO[raw])
        if word.open and (acronym or not start):
            self.names.add(word.key)
        return word

    def _add(self, literal: Literal) -> None:
        self.found.append(literal)
        self.words.append(_item(literal))

    def _close_number(self, unit: str) -> bool:
        """Add the spelled number ("two hundred and five"); return True if ``unit`` became a part of it."""
        spelled = self._spelled
        if not spelled:
            return False
        if unit in ORDINALS and unit not in UNITS and NUMBER_WORDS.get(spelled[-1], 0) >= 20:  # twenty-fifth
            value = str(_value(spelled) + ORDINALS[unit])
            spelled.clear()
            self._add(Literal("numbers", value + "th", value))
            return True
        joined = spelled[-1] == "and"
        total = plain(_value(spelled))
        spelled.clear()
        known = not joined and unit in UNITS and len(unit) > 2
        soft = len(total) < 2
        self._add(quantity(total, negative=False, scale=None, unit=unit if known else None, money=None, soft=soft))
        return known


def _tokens(chunk: str) -> Sequence[str]:
    """Return the words, items and full stops of a chunk; most chunks are a word, or a word with a mark after it."""
    if chunk.isalpha():
        return (chunk,)
    word, mark = chunk[:-1], chunk[-1]
    if word.isalpha() and mark in _MARKS:
        return (word, mark) if mark in _STOPS else (word,)
    tokens: list[str] = _TOKEN.findall(chunk)
    return tokens


def _is_context_free(raw: str, word: Word) -> bool:
    """True if this spelling always means the same word: no contraction, no capital that may mark a name."""
    if "'" in raw:
        return False
    return raw == word.form or (not word.open and raw not in _NAMES_TOO and (len(raw) > 1 or raw == "I"))


# Plain words as they are written, "how" and "How": most of every text, found in one step.
_KNOWN: dict[str, Word] = {}
_MAX_KNOWN = 20_000
_MAX_SPELLED = 12  # words of one number; more is not a number, and time must be bounded

_STOPS = frozenset(".!?:")
_MARKS = _STOPS | frozenset(",;)\"'")
_SUPERLATIVES = ("est", "most")
_TAILS = frozenset(("s", "m", "re", "ve", "ll", "d", ""))
_ROUND = frozenset(("dozen", "hundred", "thousand", "million", "billion", "trillion"))
_LARGE = frozenset(("million", "billion", "trillion"))
_LOWER_WORDS = frozenset(("vi", "xi", "xx"))  # a program, a name
ONE = "#1"
_INDEFINITE = frozenset(("a", "an", "one"))
# Function words that are names when written so.
_NAMES_TOO = {
    "US": "usa", "IT": "informatics", "WHO": "worldhealthorganization", "Go": "golang", "GO": "golang",
    "GET": "httpget", "PUT": "httpput", "AND": "booleanand", "OR": "booleanor",
    "Kb": "kilobit", "Mb": "megabit", "Gb": "gigabit", "Tb": "terabit",
}  # fmt: skip


@lru_cache(maxsize=4096)
def _item(literal: Literal) -> Word:
    key = "#" + literal.key
    return Word(form=key, key=key, group=key, picks="some" if key == ONE else "")


def _value(spelled: list[str]) -> int:
    total = part = 0
    for name in spelled:
        scale = SCALES.get(name)
        if scale is None:
            part += look_up(name).number or 0
        elif scale == 100:
            part = (part or 1) * 100
        else:
            total, part = total + (part or 1) * scale, 0
    return total + part
