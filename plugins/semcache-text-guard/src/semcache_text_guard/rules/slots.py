"""Two texts from one template: equal except for one slot with different words in it."""

from __future__ import annotations

import msgspec

from semcache_core.types import Quiet
from semcache_text_guard.language.english import (
    AUXILIARIES,
    MEASURED,
    NO_ADVERBS,
    PREPOSITIONS,
    QUESTION_WORDS,
    VERB_BEFORE,
)
from semcache_text_guard.language.lexicon import Word
from semcache_text_guard.language.units import UNITS
from semcache_text_guard.reading.parse import Parsed

from .names import abbreviated
from .related import related
from .rule import Pair

Words = tuple[Word, ...]

_WIDEST = 3  # words in a slot at most
_PHYSICAL = frozenset(("length", "mass", "time", "calendar"))
_DO = frozenset(("do", "does", "did"))
_SUBJECTS = frozenset(("what", "which", "who"))


class Slot(Quiet, msgspec.Struct, frozen=True):
    """The one place where two texts differ: the words before and after it, and the words of each text in it."""

    x: Words
    y: Words
    head: int
    tail: int
    left: Words
    right: Words
    fill_x: list[Word]
    fill_y: list[Word]

    @classmethod
    def between(cls, a: Parsed, b: Parsed) -> Slot | None:
        """Return the slot of two texts, or None if they do not share a template."""
        x, y = a.words, b.words
        size = min(len(x), len(y))
        head = 0
        while head < size and x[head].key == y[head].key:
            head += 1
        tail = 0
        while tail < size - head and x[-1 - tail].key == y[-1 - tail].key:
            tail += 1
        left, right = x[head : len(x) - tail], y[head : len(y) - tail]
        if not left or not right or max(len(left), len(right)) > min(_WIDEST, head + tail):
            return None
        fill_x, fill_y = _fill(left, b), _fill(right, a)
        fill_x, fill_y = fill_x or _preposition(left, right, fill_y), fill_y or _preposition(right, left, fill_x)
        return cls(x, y, head, tail, left, right, fill_x, fill_y) if fill_x and fill_y else None

    @property
    def spelled(self) -> tuple[str, str]:
        """The words of each text in the slot, joined."""
        return "".join([word.form for word in self.left]), "".join([word.form for word in self.right])


def _fill(slot: Words, other: Parsed) -> list[Word]:
    """Return the words of content in a slot, or none if the other text has one of them elsewhere: no mere exchange."""
    words = [word for word in slot if word.open and (word.form in NO_ADVERBS or not word.form.endswith("ly"))]
    return [] if any(word.key in other.content for word in words) else words


def _preposition(slot: Words, other: Words, fill: list[Word]) -> list[Word]:
    """Return the preposition that is all a slot holds, if all that the other text has there is a word of content.

    = flats near the lake | flats by the lake
    = a room close to my hotel | a room near my hotel
    = flights departing after noon | flights departing following noon
    != close a bank account | near a bank account
    != How do I close a bank account? | How do I near a bank account?
    """
    alone = len(slot) == len(other) == len(fill) == 1 and not other[0].form.endswith("ing")
    return list(slot) if alone and slot[0].form in PREPOSITIONS else []


def slots(pair: Pair) -> str | None:
    """One slot of an otherwise equal text is filled otherwise.

    = How do I delete a folder in Linux? | How do I remove a directory in Linux?
    = What is on my pay slip? | What is on my salary slip?
    != How do I enable dark mode in slack? | How do I enable read receipts in slack?
    != the largest cell in the body | the largest phone in the body
    != the order of the planets | the purchase of the planets
    """
    if not pair.only.a or not pair.only.b or abbreviated(pair):
        return None
    slot = Slot.between(pair.a, pair.b)
    if slot is None:
        return None
    if not all(form.isascii() for form in slot.spelled):
        return "entities" if _whole_word(slot) else None
    return None if any(excuse(slot) for excuse in EXCUSES) else "entities"


def _whole_word(slot: Slot) -> bool:
    """True for a different whole word of another language before the end, where the verb rarely is.

    The meaning of its endings is unknown.
    """
    one, other = slot.spelled
    if _names_format(slot) or _one_word(slot):
        return False
    return len(slot.left) == len(slot.right) == 1 and slot.tail > 0 and one[0] != other[0]


def _names_format(slot: Slot) -> bool:
    """After a format the noun adds nothing.

    = print a PDF file | print a PDF document
    """
    return slot.head > 0 and "format" in slot.x[slot.head - 1].sets


def _one_word(slot: Slot) -> bool:
    """The texts use two forms of one word.

    = the training of an engineer in Peru | the training of engineers in Peru
    = how do start ups raise money | how do startups raise money
    """
    return related(*slot.spelled) or any(related(p.form, q.form) for p in slot.fill_x for q in slot.fill_y)


def _measured(slot: Slot) -> bool:
    """One text asks for a length, the other for how many of a unit of it.

    = How long should I boil an egg? | How many minutes should I boil an egg?
    """
    return _measures(slot.fill_x, slot.fill_y) or _measures(slot.fill_y, slot.fill_x)


def _measures(x: list[Word], y: list[Word]) -> bool:
    if len(x) != 1 or len(y) != 1 or x[0].form not in MEASURED:
        return False
    return UNITS.get(y[0].form, ("",))[0] in _PHYSICAL


def _participles(slot: Slot) -> bool:
    """Both texts end in a participle.

    = by whom was the bridge designed | by whom was the bridge planned
    """
    one, other = slot.spelled
    return not slot.tail and one.endswith("ed") and other.endswith("ed")


def _verbs(slot: Slot) -> bool:
    """The filler is a verb: people exchange verbs and mean the same.

    = how do I switch plans on my account | how do I change plans on my account
    != Can hamsters eat an apple? | Can rabbits eat an apple?
    """
    x, y = slot.fill_x[0], slot.fill_y[0]
    return x.open and y.open and (_is_verb(slot.x, slot.head, x) or _is_verb(slot.y, slot.head, y))


def _is_verb(words: Words, head: int, fill: Word) -> bool:
    while words[head] is not fill:
        head += 1
    if head == 0 or words[head - 1].form not in VERB_BEFORE:
        return False
    # "Can hamsters ...", "why do bears ...": the subject follows an auxiliary that opens the question.
    if words[head - 1].form not in AUXILIARIES:
        return True
    if head == 1 or words[head - 2].form in QUESTION_WORDS:
        return False
    return words[head - 1].form not in _DO or words[head - 2].form not in _SUBJECTS


EXCUSES = (_names_format, _one_word, _measured, _participles, _verbs)
"""Cases in which another filler is the same question."""
