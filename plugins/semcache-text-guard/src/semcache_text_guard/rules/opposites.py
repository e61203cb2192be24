"""Opposites and negation: what turns a question into another one."""

from __future__ import annotations

from itertools import pairwise

from semcache_text_guard.language.lexicon import look_up
from semcache_text_guard.reading.parse import Parsed

from .opposed import cancelled
from .rule import Pair

# Particles after the same word in two texts, and the words that show that they may be opposites.
_PARTED = (("in", "out", "out"), ("for", "against", "against"))
_TURN = frozenset(look_up(verb).key for verb in ("turn", "switch"))
_SWITCHED = {look_up(verb).group: state for verb, state in (("enable", "on"), ("disable", "off"))}
_SWITCHING = _TURN | {look_up(verb).key for verb in ("enable", "activate", "disable", "deactivate")}
_ON_AND_OFF = {"on", "off"}


def opposite(pair: Pair) -> str | None:
    """One text has a word and the other its opposite.

    = I am not able to sign in | I am unable to sign in
    != How do I enable dark mode? | How do I disable dark mode?
    != The cheapest laptop for students | The most expensive laptop for students
    != the price for adults isn't right | the price for children is wrong
    """
    a, b = pair.a, pair.b
    if len(pair.only.opposed) > 1 or any(not cancelled(a, x, b, y) for x, y in pair.only.opposed):
        return "antonyms"
    return None


def particles(pair: Pair) -> str | None:
    """One verb has "in" after it and "out" in the other text; elsewhere the two are mere prepositions.

    = Is breakfast included in the price? | Is breakfast included with the price?
    != How do I zoom in on a map? | How do I zoom out on a map?
    != why vote for the bridge | why vote against the bridge
    """
    a, b = pair.a, pair.b
    for this, that, marker in _PARTED:
        if (marker in a.folded or marker in b.folded) and (_parted(a, b, this, that) or _parted(b, a, this, that)):
            return "antonyms"
    return None


def _parted(a: Parsed, b: Parsed, this: str, that: str) -> bool:
    return not (_before(a, this) - _before(b, this)).isdisjoint(_before(b, that) - _before(a, that))


def _before(text: Parsed, form: str) -> set[str]:
    return {verb.key for verb, word in pairwise(text.words) if word.form == form}


def switched(pair: Pair) -> str | None:
    """One text switches something on and the other off, each in one word or as "turn ... off".

    = How do I turn off dark mode? | How do I disable dark mode?
    = How do I switch on dark mode? | How do I activate dark mode?
    != How do I turn roaming on? | How do I deactivate roaming?
    != How do I switch off dark mode | How can I enable dark mode
    """
    state = _state(pair.a)
    if state and {state, _state(pair.b)} == _ON_AND_OFF and bool(pair.a.negations) == bool(pair.b.negations):
        return "antonyms"
    return None


def _state(text: Parsed) -> str | None:
    if _SWITCHING.isdisjoint(text.content):
        return None
    turned = False
    for word in text.words:
        if word.group in _SWITCHED:
            return _SWITCHED[word.group]
        turned = turned or word.key in _TURN
        if turned and word.form in _ON_AND_OFF:
            return word.form
    return None


def denied(pair: Pair) -> str | None:
    """One text denies what the other says: another parity, and a word that only one of them negates.

    = I don't know how to export my contacts | How to export my contacts
    != Is nausea a symptom of pregnancy? | Is nausea not a symptom of pregnancy?
    != Why can't I sign in? | How do I sign in?
    """
    a, b = pair.a, pair.b
    if pair.only.opposed or (a.negations - b.negations) % 2 == 0:
        return None
    odd = a.negated ^ b.negated
    # A word that only one text has is not denied.
    if odd and any(word.key in odd for word in (b.words if odd & a.negated else a.words)):
        return "negation"
    return None
