"""Which of its kind a noun means, and how many: this one, the next one, all, one, all but one.

Source: the determiners of English (Huddleston & Pullum, chapter 5).
"""

from __future__ import annotations

from itertools import pairwise

from .lexicon import Word
from .lists import listed
from .parse import ONE, Parsed, form_at
from .words import PICKED_TIMES

_ALL = frozenset(listed("all every each whole entire everything"))
_SOME = frozenset(listed("any single most half part"))
_EXCEPT = frozenset(listed("except excepting excluding apart"))
_ADVERBIAL = frozenset(listed("at after above"))  # "at all"
_FEW, _HARDLY = 4, 2  # differing words of content


def picks_otherwise(a: Parsed, b: Parsed, differing: int) -> str | None:
    """Return the reason if the texts speak of others of one kind; ``differing``: how many words of content differ."""
    if differing > _FEW:
        return None
    reason = _of_others(a.words, b.words)
    if reason or differing > _HARDLY:
        return reason
    if {_quantity(a.words), _quantity(b.words)} == {"all", "some"}:
        return "quantifiers"
    return "antonyms" if _excepts(a.words) != _excepts(b.words) else None


def _of_others(x: tuple[Word, ...], y: tuple[Word, ...]) -> str | None:
    """Return the reason if one noun is "every device" in one text and "this device" in the other."""
    these, those = _picks(x), _picks(y)
    for noun in these.keys() & those.keys():
        if these[noun].isdisjoint(those[noun]):
            return "dates" if these[noun] | those[noun] <= PICKED_TIMES else "quantifiers"
    return None


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
    return any(
        word.form in _EXCEPT and (word.form != "apart" or form_at(words, here + 1) == "from")
        for here, word in enumerate(words)
    )


def _counts(words: tuple[Word, ...], after: int) -> bool:
    """True for "one" in "one of my cards", "at least one driver"; not in "at once" and "does one"."""
    return after < len(words) and (words[after].open or words[after].form == "of")
