"""Names, and open slots of one template: what one text puts where the other puts something else."""

from __future__ import annotations

from .classes import NAMED
from .lexicon import Word
from .parse import Parsed
from .words import VERB_BEFORE

_CALENDAR = frozenset(("month", "weekday", "season", "relative", "daytime", "period"))
_SLOT = 3  # words that a slot may hold

# Endings that derive one word from another: "engineer" / "engineering", "direct" / "direction" (Quirk et al., app. I).
_ENDINGS = frozenset(
    """ s es ed ing er ers or ors ion ions ation ations ition ment ments ance ence al ally ly e y ies ied ity ive ative
    ness ful able ible ical ic ous ant ent ist ism ish d r t n ue ying ating ate ates ated ization ize izing""".split(" ")
)


def swapped(a: Parsed, b: Parsed, only_a: list[Word], only_b: list[Word]) -> str | None:
    """Return the reason if a name, or the filler of a slot, differs between the texts."""
    for x in only_a:
        for y in only_b if x.sets else ():
            shared = x.sets & y.sets
            if shared:
                return "dates" if shared & _CALENDAR else "entities"
    if ONE and _one_sided(only_a, only_b):
        return "entities"
    if CAP and _capitals(a, b, only_a, only_b):
        return "entities"
    if SLOT and only_a and only_b and _filled_otherwise(a, b):
        return "entities"
    return None

ONE=CAP=SLOT=CAP1=True

def _one_sided(only_a: list[Word], only_b: list[Word]) -> bool:
    return any(w.named for w in only_a) or any(w.named for w in only_b)


def _capitals(a: Parsed, b: Parsed, only_a: list[Word], only_b: list[Word]) -> bool:
    na = [w for w in only_a if w.key in a.names]
    nb = [w for w in only_b if w.key in b.names]
    if not na and not nb: return False
    if na and nb:
        return not any(related(x.form, y.form) for x in na for y in nb)
    return CAP1 and (any(_gap(w,only_b) for w in na) or any(_gap(w,only_a) for w in nb))

def _gap(w, others):
    return bool(others) and not any(related(w.form,o.form) for o in others)


def related(x: str, y: str) -> bool:
    """True for two forms of one word."""
    size = 0
    for p, q in zip(x, y):
        if p != q:
            break
        size += 1
    return size >= 4 and x[size:] in _ENDINGS and y[size:] in _ENDINGS


def _filled_otherwise(a: Parsed, b: Parsed) -> bool:
    x, y = a.words, b.words
    size = min(len(x), len(y))
    head = 0
    while head < size and x[head].key == y[head].key:
        head += 1
    tail = 0
    while tail < size - head and x[-1 - tail].key == y[-1 - tail].key:
        tail += 1
    left, right = x[head : len(x) - tail], y[head : len(y) - tail]
    if not left or not right or len(left) > _SLOT or len(right) > _SLOT:
        return False
    fill_a = [w for w in left if w.open and w.key not in b.content]
    fill_b = [w for w in right if w.open and w.key not in a.content]
    if not fill_a or not fill_b or any(related(p.form, q.form) for p in fill_a for q in fill_b):
        return False
    return not (head and x[head - 1].form in VERB_BEFORE)
