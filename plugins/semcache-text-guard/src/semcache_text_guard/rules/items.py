"""The rules: what two parsed texts must agree in for an answer to one to be an answer to the other."""

from __future__ import annotations

import re
from itertools import chain, pairwise

from semcache_core.types import Accept, Penalty, Reject, Verdict

from .asked import asks_otherwise
from .lexicon import Word, look_up
from .lists import listed
from .opposites import NEGATIVE_PREFIXES, PARTICLES, PREFIX_PAIRS, SUFFIX_PAIRS
from .order import reordered
from .parse import Parsed, parse, squash
from .picked import picks_otherwise
from .quantities import Literal
from .slots import swapped

MAX_CHARS = 8192
_ARTICLE = re.compile(r"^(?:the|an?) ")
_ACCEPT = Accept()
# What stands after one and the same word in two texts, and what shows that it may.
_PARTED = (("in", "out", "out"), ("for", "against", "against"))
_TURN, _ENABLE, _DISABLE = (look_up(verb).key for verb in ("turn", "enable", "disable"))
_SWITCHED = {_ENABLE: "on", _DISABLE: "off"}
_BOUNDING = frozenset(
    listed(
        "than least most up more less fewer over above under below exceeding older younger higher lower later earlier "
        "greater after before"
    )
)
# Bounds and whether they belong to what they bound (SQL: >=, >, <=, <).
_BOUND = re.compile(
    r"""(?P<ge>\bat\ least\b|\b(?:or|and)\ (?:more|over|above|older|higher|greater|later|up)\b(?!\ than)
      |\bon\ or\ after\b|\b(?:no|not)\ (?:less|fewer)\ than\b
      |\b(?:more|greater|higher|larger)\ than\ or\ equal\b)
    | (?P<le>\bat\ most\b|\bup\ to\b|\b(?:or|and)\ (?:less|fewer|under|below|younger|lower|earlier)\b(?!\ than)
      |\bon\ or\ before\b|\b(?:no|not)\ more\ than\b
      |\b(?:less|fewer|lower|smaller)\ than\ or\ equal\b)
    | (?P<gt>\b(?:more|greater|older|higher|larger|longer)\ than\b|\b(?:over|above|exceeding)\ (?=[\d$€£]))
    | (?P<lt>\b(?:less|fewer|younger|lower|smaller|shorter)\ than\b|\b(?:under|below)\ (?=[\d$€£]))""",
    re.VERBOSE | re.IGNORECASE,
)
_ON_AND_OFF = {"on", "off"}
_NEGATION = Penalty(amount=0.03, reason="negation")


def compare(query: str, candidate: str) -> Verdict:
    """Say whether the answer to ``candidate`` may answer ``query``. Symmetric, never raises, linear time."""
    if query == candidate:
        return _ACCEPT
    if len(query) > MAX_CHARS or len(candidate) > MAX_CHARS:
        return Reject(reason="length")
    a, b = parse(query), parse(candidate)
    reason = _literals(a, b) or _quotes(a, b)
    if reason:
        return Reject(reason=reason, certain=True)
    only_a = [word for key, word in a.content.items() if key not in b.content]
    only_b = [word for key, word in b.content.items() if key not in a.content]
    opposed = _opposed(only_a, only_b)
    if len(opposed) > 1:
        return Reject(reason="antonyms")
    for x, y in opposed:
        if not _cancelled(a, x, b, y):
            return Reject(reason="antonyms")
        only_a.remove(x)  # they say the same of it; what they say it of still counts
        only_b.remove(y)
    if len(only_a) + len(only_b) <= 1 and _crosswise(a, b):
        return Reject(reason="antonyms")
    state = _switched(a)
    if state and {state, _switched(b)} == _ON_AND_OFF and bool(a.negations) == bool(b.negations):
        return Reject(reason="antonyms")
    reason = _bounds(a, b) or swapped(a, b, only_a, only_b)
    if reason:
        return Reject(reason=reason, certain=True)
    differing = len(only_a) + len(only_b)
    reason = reordered(a, b) or asks_otherwise(a, b, differing) or picks_otherwise(a, b, differing)
    if reason:
        return Reject(reason=reason, certain=True)
    return _NEGATION if not opposed and _negated(a, b) else _ACCEPT


def _cancelled(a: Parsed, x: Word, b: Parsed, y: Word) -> bool:
    """True for "not happy" / "unhappy", "isn't right" / "wrong": the opposite and the negation cancel out.

    Not where the opposite is the negation, as in "with" / "without" and "always" / "never".
    """
    return (a.negations > x.negates) != (b.negations > y.negates)


def _negated(a: Parsed, b: Parsed) -> bool:
    """True if one text denies what the other says: another parity, and a word that only one of them negates."""
    if (a.negations - b.negations) % 2 == 0:
        return False
    odd = a.negated ^ b.negated
    return bool(odd) and any(word.key in odd for word in (b.words if odd & a.negated else a.words))


def _literals(a: Parsed, b: Parsed) -> str | None:
    if not a.literals and not b.literals:
        return None
    only_a, only_b = _without(a.literals, b.literals), _without(b.literals, a.literals)
    if not only_a and not only_b:
        return None
    only_a, only_b = _unsaid(only_a, b), _unsaid(only_b, a)
    if only_a and only_b:
        only_a, only_b = _bare(only_a, only_b)
    odd = min(chain(only_a, only_b), key=_order, default=None)
    if odd is None or (odd.soft and not (only_a and only_b)):
        return None
    if odd.kind == "units" and not any(x.value == odd.value for x in (only_b if odd in only_a else only_a)):
        return "numbers"
    return odd.kind


def _bounds(a: Parsed, b: Parsed) -> str | None:
    """Return "numbers" if both texts set a bound and not the same one: "up to 10" and "more than 10"."""
    if not a.literals or not b.literals:
        return None
    one = _bounded(a)
    other = _bounded(b) if one else one
    return "numbers" if one and other and one != other else None


def _bounded(text: Parsed) -> set[str]:
    if _BOUNDING.isdisjoint([word.form for word in text.words]):
        return set()
    return {match.lastgroup or "" for match in _BOUND.finditer(text.folded)}


def _without(left: tuple[Literal, ...], right: tuple[Literal, ...]) -> list[Literal]:
    keys = {key for x in right for key in ((x.key, x.other) if x.other else (x.key,))}
    return [x for x in left if x.key not in keys and not (x.other and x.other in keys)]


def _unsaid(literals: list[Literal], text: Parsed) -> list[Literal]:
    """Take out code that the other text holds without its marks: "`git stash`" and "git stash", "len()" and "len"."""
    return [x for x in literals if x.kind != "code" or not _says(text.folded, x.key)]


def _says(text: str, code: str) -> bool:
    return code in text and len(code) > 2 and re.search(rf"(?<![\w-]){re.escape(code)}(?![\w-])", text) is not None


def _bare(left: list[Literal], right: list[Literal]) -> tuple[list[Literal], list[Literal]]:
    """Take out pairs where one text leaves a unit unsaid ("aged 30", "30 years old"), if it is always the same text."""
    in_left, in_right = _unsaid_units(left, right), _unsaid_units(right, left)
    if in_left and in_right:
        return left, right
    matched = in_left | in_right
    return [x for x in left if x.value not in matched], [x for x in right if x.value not in matched]


def _unsaid_units(plain: list[Literal], full: list[Literal]) -> set[str]:
    numbers = {x.value for x in plain if x.kind == "numbers"}
    return {x.value for x in full if x.kind != "numbers" or x.key != x.value} & numbers


def _order(literal: Literal) -> tuple[bool, str, str]:
    return literal.soft, literal.kind, literal.key


def _quotes(a: Parsed, b: Parsed) -> str | None:
    if not a.quotes and not b.quotes:
        return None
    if _holds(b, a.quotes) and _holds(a, b.quotes):
        return None
    return "quotes"


def _holds(text: Parsed, quotes: tuple[str, ...]) -> bool:
    """True if the text says every quote: quotation marks themselves, case and articles change nothing."""
    if not quotes:
        return True
    plain = squash(text.folded)
    return all(_ARTICLE.sub("", quote) in plain for quote in quotes)


def _opposed(only_a: list[Word], only_b: list[Word]) -> set[tuple[Word, Word]]:
    """Return the words of one text of which the other has an opposite, each with it."""
    keys = {y.key for y in only_b}
    roots = {root for y in only_b for root in y.roots}
    # Opposites are listed or have a root in common: no word has to be held against all the others.
    suspects = [x for x in only_a if not (x.opposites.isdisjoint(keys) and roots.isdisjoint(x.roots))]
    if not suspects:
        return set()
    found: dict[str, list[Word]] = {}
    for y in only_b:
        for name in {y.key, *y.roots}:
            found.setdefault(name, []).append(y)
    close = len(only_a) + len(only_b) <= 4
    return {
        (x, y)
        for x in suspects
        for name in {*x.opposites, *x.roots} & found.keys()
        for y in found[name]
        if _opposite(x, y, close=close)
    }


def _crosswise(a: Parsed, b: Parsed) -> bool:
    """True for "log in" and "log out": as particles of one verb they are opposites, elsewhere mere prepositions."""
    return any(
        (marker in a.folded or marker in b.folded) and (_parted(a, b, this, that) or _parted(b, a, this, that))
        for this, that, marker in _PARTED
    )


def _parted(a: Parsed, b: Parsed, this: str, that: str) -> bool:
    return not (_before(a, this) - _before(b, this)).isdisjoint(_before(b, that) - _before(a, that))


def _switched(text: Parsed) -> str | None:
    """Return "on" or "off" if the text enables or disables something, in one word or as "turn ... off"."""
    if not (_TURN in text.content or _ENABLE in text.content or _DISABLE in text.content):
        return None
    turned = False
    for word in text.words:
        if word.key in _SWITCHED:
            return _SWITCHED[word.key]
        turned = turned or word.key == _TURN
        if turned and word.form in ("on", "off"):
            return word.form
    return None


def _before(text: Parsed, form: str) -> set[str]:
    return {verb.key for verb, word in pairwise(text.words) if word.form == form}


def _opposite(x: Word, y: Word, *, close: bool) -> bool:
    if y.key in x.opposites:
        return close or x.form not in PARTICLES or y.form not in PARTICLES
    return _affixed(x.form, y.form) or ((x.stem != x.form or y.stem != y.form) and _affixed(x.stem, y.stem))


def _affixed(x: str, y: str) -> bool:
    """True for a regular opposite: "legal" / "illegal", "upload" / "download", "useful" / "useless"."""
    if x[-2:] == y[-2:]:
        short, long = (x, y) if len(x) < len(y) else (y, x)
        if len(short) >= 4 and long.endswith(short) and long[: -len(short)] in NEGATIVE_PREFIXES:
            return True
        return any(_swaps(x, y, p, q) or _swaps(x, y, q, p) for p, q in PREFIX_PAIRS)
    if x[:3] == y[:3]:
        return any(
            (x.endswith(p) and y.endswith(q) and x[: -len(p)] == y[: -len(q)])
            or (x.endswith(q) and y.endswith(p) and x[: -len(q)] == y[: -len(p)])
            for p, q in SUFFIX_PAIRS
        )
    return False


def _swaps(x: str, y: str, p: str, q: str) -> bool:
    return x.startswith(p) and y.startswith(q) and x[len(p) :] == y[len(q) :] and len(x) - len(p) > 2
