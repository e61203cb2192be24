"""Which words of two texts are opposites of each other."""

from __future__ import annotations

from semcache_text_guard.language.english import NEGATIVE_PREFIXES, PARTICLES, PREFIX_PAIRS, SUFFIX_PAIRS
from semcache_text_guard.language.lexicon import Word
from semcache_text_guard.reading.parse import Parsed

_CLOSE = 4  # differing words of content among which particles are opposites


def opposed(only_a: list[Word], only_b: list[Word]) -> set[tuple[Word, Word]]:
    """Return the words of one text of which the other has an opposite, each with it."""
    groups = {y.group for y in only_b}
    roots = {root for y in only_b for root in y.roots}
    # Opposites are listed or share a root: words need not be compared pairwise.
    suspects = [x for x in only_a if not (x.opposites.isdisjoint(groups) and roots.isdisjoint(x.roots))]
    if not suspects:
        return set()
    found: dict[str, list[Word]] = {}
    for y in only_b:
        for name in {y.group, *y.roots}:
            found.setdefault(name, []).append(y)
    close = len(only_a) + len(only_b) <= _CLOSE
    return {
        (x, y)
        for x in suspects
        for name in {*x.opposites, *x.roots} & found.keys()
        for y in found[name]
        if _opposite(x, y, close=close)
    }


def cancelled(a: Parsed, x: Word, b: Parsed, y: Word) -> bool:
    """True where the opposite and a negation cancel out; not where the opposite is the negation.

    = I am not happy with the service | I am unhappy with the service
    = the map of Paris isn't right | the map of Paris is wrong
    != Do I need a visa with a residence card? | Do I need a visa without a residence card?
    != Is overtime always paid? | Is overtime never paid?
    """
    return (a.negations > x.negates) != (b.negations > y.negates)


def _opposite(x: Word, y: Word, *, close: bool) -> bool:
    if y.group in x.opposites:
        return close or x.form not in PARTICLES or y.form not in PARTICLES
    return _affixed(x.form, y.form) or ((x.key != x.form or y.key != y.form) and _affixed(x.key, y.key))


def _affixed(x: str, y: str) -> bool:
    """True for a regular opposite.

    != Is it legal to record a call? | Is it illegal to record a call?
    != How do I upload a photo? | How do I download a photo?
    != Is this advice useful? | Is this advice useless?
    """
    if x[-2:] == y[-2:]:
        short, long = (x, y) if len(x) < len(y) else (y, x)
        if len(short) >= 4 and long.endswith(short) and long[: -len(short)] in NEGATIVE_PREFIXES:
            return True
        return any(_starts(x, y, p, q) or _starts(x, y, q, p) for p, q in PREFIX_PAIRS)
    return x[:3] == y[:3] and any(_ends(x, y, p, q) or _ends(x, y, q, p) for p, q in SUFFIX_PAIRS)


def _starts(x: str, y: str, p: str, q: str) -> bool:
    return x.startswith(p) and y.startswith(q) and x[len(p) :] == y[len(q) :] and len(x) - len(p) > 2


def _ends(x: str, y: str, p: str, q: str) -> bool:
    return x.endswith(p) and y.endswith(q) and x[: -len(p)] == y[: -len(q)]
