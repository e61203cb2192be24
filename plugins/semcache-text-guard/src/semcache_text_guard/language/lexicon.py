"""Looks up a word: its stem, its group of synonyms, its sets of names, its opposites."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from .english import (
    COUNTED,
    ENGLISH,
    FRAME,
    FUNCTION,
    MONTH_WORDS,
    NEGATORS,
    PARTICLES,
    PICKS,
    PREFIXES,
    SOURCE,
    SUFFIXES,
    TARGET,
    WEEKDAYS,
    stem,
)
from .units import NUMBER_WORDS, ORDINALS, SCALES, UNITS

FROM, TO = 1, 2
_NOTHING: frozenset[str] = frozenset()


class Word(msgspec.Struct, frozen=True, gc=False):
    """A word as the rules see it: ``key`` is equal for all forms of a word, ``open`` false for function words.

    ``group`` is also equal for synonyms; for a word without synonyms it is the key. See ``Pair`` for its effect.
    """

    form: str
    key: str
    group: str
    grouped: bool = False  # has synonyms
    open: bool = False
    frame: bool = False
    negates: bool = False
    sets: frozenset[str] = _NOTHING
    named: bool = False
    opposites: frozenset[str] = _NOTHING
    number: int | None = None
    tells: bool = False  # says something that the other text may lack
    plain: bool = False  # needs none of the reader's special cases
    picks: str = ""  # which of what follows it means
    role: int = 0  # of what follows: FROM, TO, or none
    roots: tuple[str, ...] = ()  # the word, also without the ends by which regular opposites differ


_FRAME = frozenset(stem(word) for word in FRAME)


def _positive(root: str) -> str:
    """Return the adjective of a comparative that has an opposite: "taller" is "tall", but "offer" not "off"."""
    if not root.endswith("er") or root in ENGLISH.opposites or root in ENGLISH.groups:
        return root
    for base in (root[:-2], root[:-3]):
        if len(base) > 2 and base in ENGLISH.opposites and base not in PARTICLES:
            return base
    return root


def _roots(word: str) -> set[str]:
    without = {word[len(prefix) :] for prefix in PREFIXES if word.startswith(prefix)}
    without |= {word[: -len(suffix)] for suffix in SUFFIXES if word.endswith(suffix)}
    return without - {""} | {word}


@lru_cache(maxsize=32768)
def look_up(form: str) -> Word:
    """Return the entry of a lower-case word without apostrophes."""
    ordinal = ORDINALS.get(form)
    name = f"#{ordinal}" if ordinal else MONTH_WORDS.get(form) or WEEKDAYS.get(form) or form
    key = _positive(stem(name))
    group = ENGLISH.groups.get(key, key)
    function, frame = name in FUNCTION, name in FRAME or key in _FRAME
    sets = frozenset(ENGLISH.sets.get(key) or ENGLISH.sets.get(group) or ())
    opposites = frozenset(ENGLISH.opposites.get(group, ()))
    is_open = not function and not frame and not ordinal
    number = NUMBER_WORDS.get(form)
    return Word(
        form=form,
        key=key,
        group=group,
        grouped=key in ENGLISH.groups,
        open=is_open,
        frame=frame,
        negates=form in NEGATORS,
        sets=sets,
        named=not sets.isdisjoint(ENGLISH.named),
        opposites=opposites,
        number=number,
        tells=is_open or bool(opposites) or bool(sets),
        plain=number is None
        and not ordinal
        and form not in NEGATORS
        and form not in UNITS
        and form not in COUNTED
        and form not in SCALES
        and form != "yet",
        picks=PICKS.get(form, ""),
        role=FROM if form in SOURCE else TO if form in TARGET else 0,
        roots=tuple(_roots(form) | _roots(key)),
    )


@lru_cache(maxsize=4096)
def as_group(form: str) -> Word:
    """Return the word with its group as the key, for a text pair in which the other text has a synonym."""
    word = look_up(form)
    return msgspec.structs.replace(word, key=word.group)
