"""Regular expressions of the configuration that run over callers' texts: their work is bounded, checked at start.

``re`` backtracks, so that ``(a+)+$`` takes minutes on thirty characters, and even ``a*b`` quadratic time. So a repeat
without an upper bound ends after ``LONGEST_REPEAT`` characters here, and a pattern is accepted only if the steps that
it can take at one position of a text are few.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from re import _constants as ops  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

import msgspec

__all__ = ["LONGEST_REPEAT", "MOST_STEPS", "BoundedPattern", "bounded_pattern"]

LONGEST_REPEAT = 256
"""How often ``*``, ``+`` and ``{2,}`` repeat at most."""
MOST_STEPS = 4_000
"""Steps at one position of the costliest pattern that is accepted."""

# What may hold a "*" that repeats nothing (an escape, a class of characters) is one token.
_TOKEN = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|(?P<repeat>[*+]|\{(?P<least>\d*),\})(?P<modifier>[?+])?|\?[?+]?|\{\d*,?\d*\}[?+]?",
    re.DOTALL,
)
_ONE_CHARACTER = frozenset({ops.LITERAL, ops.NOT_LITERAL, ops.ANY, ops.IN, ops.CATEGORY, ops.RANGE})
_REPEATS = frozenset({ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT})


class BoundedPattern:
    """A compiled pattern, and the steps that it can take at one position of a text."""

    __slots__ = ("pattern", "steps")

    def __init__(self, pattern: re.Pattern[str], steps: int) -> None:
        self.pattern, self.steps = pattern, steps


def bounded_pattern(text: str) -> BoundedPattern:
    """Return the compiled pattern. Raises ValueError, which says what is wrong and what to write."""
    try:
        re.compile(text)
        bounded = _bounded(text)
        pattern = re.compile(bounded)
        steps = _sequence(_parser.parse(bounded), _END).steps
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    except (OverflowError, RecursionError):
        raise ValueError("is too long or too deep") from None
    if steps > MOST_STEPS:
        raise ValueError(
            "could take too long on a caller's text: let fewer of its parts vary in length (`\\d{1,2}` instead of "
            "`\\d+`), and repeat none that does"
        )
    return BoundedPattern(pattern, steps)


def _bounded(text: str) -> str:
    """Return the pattern with an upper bound for each repeat that has none."""
    return _TOKEN.sub(_bound, text)


def _bound(token: re.Match[str]) -> str:
    kind, least, modifier = token["repeat"], token["least"], token["modifier"] or ""
    if kind is None:
        return token[0]
    low = int(least or 0) if kind.startswith("{") else int(kind == "+")
    return f"{{{low},{max(low, LONGEST_REPEAT)}}}{modifier}"


class _Work(msgspec.Struct, frozen=True):
    """What a part of a pattern, and all that follows it, may cost at one position: upper bounds."""

    steps: int
    ways: int
    """In how many ways it can match."""
    is_sure: bool
    """It matches in any case, if need be nothing: then what stands before it never tries another length."""


_END = _Work(0, 1, True)
_ALONE = _Work(1, 1, False)
"""What follows is counted by the caller."""


def _sequence(items: Sequence[Any], rest: _Work) -> _Work:
    """Return the work of elements in a row, followed by ``rest``."""
    for op, value in reversed(items):
        rest = _element(op, value, rest)
        if rest.steps > MOST_STEPS:
            return rest  # More is only worse.
    return rest


def _element(op: Any, value: Any, rest: _Work) -> _Work:
    """Return the work of one element followed by ``rest``, which is tried anew for each way the element matches."""
    if op in _ONE_CHARACTER or op is ops.AT:
        return _Work(rest.steps + 1, rest.ways, False)
    if op is ops.SUBPATTERN:
        return _sequence(value[3], rest)
    if op is ops.BRANCH:
        each = [_sequence(item, rest) for item in value[1]]
        steps, ways = (sum(one.steps for one in each) + len(each), sum(one.ways for one in each))
        return _Work(steps, ways, any(one.is_sure for one in each))
    if op in _REPEATS:
        least, most, item = value
        return _repeat(op, item, rest, least=least, most=most)
    if op in (ops.ASSERT, ops.ASSERT_NOT, ops.ATOMIC_GROUP):
        inner = value if op is ops.ATOMIC_GROUP else value[1]
        return _Work(_sequence(inner, _ALONE).steps + rest.steps, rest.ways, False)
    raise ValueError("has a reference to a group, whose work has no bound; write out what may stand there")


def _repeat(op: Any, item: Sequence[Any], rest: _Work, *, least: int, most: int) -> _Work:
    one = _sequence(item, _ALONE)
    if op is ops.POSSESSIVE_REPEAT:
        return _Work(most * one.steps * one.ways + rest.steps, rest.ways, rest.is_sure and least == 0)
    if rest.is_sure and (one.ways == 1 or least <= 1):
        # The rounds that match are consumed, and only the last one may fail.
        return _Work((least + 1) * one.steps + rest.steps, rest.ways, least == 0)
    if one.ways == 1:
        lengths = most - least + 1
    else:
        # Each round may match in several ways, and then so may all of them together.
        lengths = sum(min(one.ways, MOST_STEPS) ** min(count, 12) for count in range(least, most + 1))
    return _Work(most * one.steps * one.ways + lengths * rest.steps, lengths * rest.ways, rest.is_sure and least == 0)
