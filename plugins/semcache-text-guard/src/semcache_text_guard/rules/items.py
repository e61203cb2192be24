"""What a text writes in figures, symbols or quotation marks, and the bounds that it sets."""

from __future__ import annotations

import re
from itertools import chain

from semcache_text_guard.language.english import BOUNDING
from semcache_text_guard.reading.parse import Parsed, squash
from semcache_text_guard.reading.quantities import Literal

from .rule import Pair

_ARTICLE = re.compile(r"^(?:the|an?) ")
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


def items(pair: Pair) -> str | None:
    """A number, date, unit, id, version, URL or piece of code that only one text has.

    = Set an alarm for 7 pm | Set an alarm for 19:00
    = Add 5 g of salt | Add 5 grams of salt
    = What does `git stash` do? | What is git stash for?
    = Explain gravity to somebody aged 12 | Explain gravity to a 12-year-old
    != Summarize chapter 3 of the book | Summarize chapter 4 of the book
    != Remind me on May 3 | Remind me on May 4
    != Where is order B-2210? | Where is order C-2210?
    != List files larger than 10 MB | List files larger than 10 GB
    != What is 12 + 7? | What is 12 * 7?
    """
    a, b = pair.a, pair.b
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


def quotes(pair: Pair) -> str | None:
    """A string in quotation marks that the other text does not hold, quoted or not.

    = What does "carpe diem" mean? | What does carpe diem mean?
    != What does "carpe diem" mean? | What does "memento mori" mean?
    """
    a, b = pair.a, pair.b
    if not a.quotes and not b.quotes:
        return None
    return None if _holds(b, a.quotes) and _holds(a, b.quotes) else "quotes"


def _holds(text: Parsed, quotes: tuple[str, ...]) -> bool:
    """True if the text says every quote: quotation marks themselves, case and articles change nothing."""
    if not quotes:
        return True
    plain = squash(text.folded)
    return all(_ARTICLE.sub("", quote) in plain for quote in quotes)


def bounds(pair: Pair) -> str | None:
    """Both texts set a bound, and not the same one.

    = a name of up to 20 letters | a name of no more than 20 letters
    = scores less than or equal to 5 | scores of at most 5
    != a fee for up to 10 people | a fee for more than 10 people
    != is it free for people over 60 | is it free for people of 60 and over
    """
    a, b = pair.a, pair.b
    if not a.literals or not b.literals:
        return None
    one = _bounded(a)
    other = _bounded(b) if one else one
    return "numbers" if one and other and one != other else None


def _bounded(text: Parsed) -> set[str]:
    if BOUNDING.isdisjoint([word.form for word in text.words]):
        return set()
    return {match.lastgroup or "" for match in _BOUND.finditer(text.folded)}
