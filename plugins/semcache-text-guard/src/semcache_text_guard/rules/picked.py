"""Which of its kind a noun means, and how many: this one, the next one, all, one, all but one.

Source: the determiners of English (Huddleston & Pullum, chapter 5).
"""

from __future__ import annotations

from itertools import pairwise

from semcache_text_guard.language.lexicon import Word
from semcache_text_guard.reading.parse import form_at
from semcache_text_guard.reading.reader import ONE

from .rule import Pair

_ALL = frozenset(("all", "every", "each", "whole", "entire", "everything"))
_SOME = frozenset(("any", "single", "most", "half", "part"))
_EXCEPT = frozenset(("except", "excepting", "excluding", "apart"))
_ADVERBIAL = frozenset(("at", "after", "above"))  # "at all"
_TIMES = frozenset(("this", "last", "next", "tomorrow", "yesterday"))


def picked(pair: Pair) -> str | None:
    """One noun is "every device" in one text and "this device" in the other.

    = it rains every single day | it rains every day
    = Are all seats heated? | Is every seat heated?
    != lock every door in the house | lock this door in the house
    != the holidays of this month | the holidays of next month
    """
    these, those = _picks(pair.a.words), _picks(pair.b.words)
    for noun in these.keys() & those.keys():
        if these[noun].isdisjoint(those[noun]):
            return "dates" if these[noun] | those[noun] <= _TIMES else "quantifiers"
    return None


def all_or_some(pair: Pair) -> str | None:
    """One text speaks of all and the other of some.

    = delete all photos at once | delete all of the photos
    != Mute all of my chats | Mute one of my chats
    != May I return the whole order? | May I return a part of the order?
    != Are all seats heated? | Is any seat heated?
    """
    return "quantifiers" if {_quantity(pair.a.words), _quantity(pair.b.words)} == {"all", "some"} else None


def excepted(pair: Pair) -> str | None:
    """One text makes an exception.

    = how far apart are Mars and Venus | how far are Mars and Venus from each other
    != what is covered apart from storm damage | what is covered of storm damage
    """
    return "antonyms" if _excepts(pair.a.words) != _excepts(pair.b.words) else None


def _picks(words: tuple[Word, ...]) -> dict[str, set[str]]:
    picks: dict[str, set[str]] = {}
    picked = ""
    for word, noun in pairwise(words):
        picked = picked if picked and word.picks == "some" else word.picks  # "every single day" is every day
        if picked and not noun.picks:
            picks.setdefault(noun.key, set()).add(picked)
    return picks


def _quantity(words: tuple[Word, ...]) -> str:
    """Return whether a text speaks of all or of some; "" where it says neither, or both."""
    of_all = of_some = False
    before = ""
    for here, word in enumerate(words):
        of_all = of_all or (word.form in _ALL and before not in _ADVERBIAL)
        of_some = of_some or word.form in _SOME or (word.form == ONE and _counts(words, here + 1))
        before = word.form
    return "" if of_all == of_some else "all" if of_all else "some"


def _excepts(words: tuple[Word, ...]) -> bool:
    for here, word in enumerate(words):
        if word.form in _EXCEPT and (word.form != "apart" or form_at(words, here + 1) == "from"):
            return True
    return False


def _counts(words: tuple[Word, ...], after: int) -> bool:
    """True for "one" in "one of my cards", "at least one driver"; not in "at once" and "does one"."""
    return after < len(words) and (words[after].open or words[after].form == "of")
