"""The comparable text: how it is folded for the embedder, and when it may only match exactly."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from semcache_core.keys.normal_form import normalised
from semcache_core.reasons import Code
from semcache_core.settings import Policy

__all__ = ["EXACT_MODE", "compared", "exact_only_reason", "fold", "split_after"]

EXACT_MODE: Code = "exact-mode"
"""No text is compared: ``match = "exact"``, or there is no embedder. No text is read for it or stored."""

# Words without content: articles, pronouns, auxiliaries, prepositions, and words that continue an earlier turn ("yes,
# please cancel it"). Not question words: "who" and "when" ask different things.
_STOP = """
    a an the this that these those it its he she they them him her his their we us our you your i me my mine yours
    is am are was were be been being do does did done doing has have had having will would shall should can could may
    might must not no nor yes yeah yep nope ok okay sure please thanks thank hi hello hey well so then too also just
    of to in on at by for from with as into onto about than and or but if
    s t d ll m re ve
    ja nein bitte danke oui non merci si gracias favor
"""
STOP_WORDS = frozenset(_STOP.split())

# One word: a run of letters and digits; in a script without spaces (Thai, kana, Han) each character is a word.
_THAI, _KANA = "\u0e01-\u0e4f", "\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_ALONE = _THAI + _KANA + _HAN
_ASCII_WORD = re.compile("[a-z0-9]+")
"""The same for folded ASCII, at half the cost."""
_WORD = re.compile(f"[{_ALONE}]|[^\\W_{_ALONE}]+")

_SPACES = re.compile(r"[^\S\x0b\x0c\x1c-\x1f\x85]+")
"""White space without the control characters that Python counts as such: nothing shows that they separate words."""
# Shown as nothing, though Unicode calls them letters, marks or symbols: fillers, variation selectors, blanks, and what
# a decoder writes in place of bytes that it cannot read.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\ufffc\ufffd"
    "\U00016fe4\U0001d159\U000e0100-\U000e01ef]"
)
_LONGEST_WORD = 16
"""Characters a word at most, on average: a longer text is not compared, so comparing takes bounded time."""
_LONGEST_UNFOLDED = 8 * _LONGEST_WORD
"""The same before white space is folded and characters are composed: a longer text is not even folded."""


def fold(text: str) -> str:
    """Return the text to embed: NFC, each run of white space one space, none at the ends."""
    text = normalised("NFC", text)
    if text.isprintable():
        return " ".join(text.split())
    return _SPACES.sub(" ", text).strip(" ")


def compared(text: str, policy: Policy) -> tuple[str, Code | None]:
    """Return the folded text to compare, and why it may only match an equal request (``exact_only_reason``).

    A text with far more characters than ``max_words`` words can have stays as it is: it is ``long-text``.
    """
    if len(text) > _LONGEST_UNFOLDED * policy.max_words:
        return text, "long-text" if policy.match == "semantic" else EXACT_MODE
    text = fold(text)
    return text, exact_only_reason(text, policy) if policy.match == "semantic" else EXACT_MODE


def split_after(slot: Sequence[str], marker: str | None) -> tuple[tuple[str, ...], str]:
    """Return the parts before the text to compare, and that text: the part after the last ``marker``.

    Without a marker, or if it does not occur, the whole text is compared. The parts before it, and the marker, are part
    of the scope, byte for byte.
    """
    if marker:
        for index in range(len(slot) - 1, -1, -1):
            before, found, after = slot[index].rpartition(marker)
            if found:
                return (*slot[:index], before + found), "\n".join((after, *slot[index + 1 :]))
    return (), "\n".join(slot)


def exact_only_reason(text: str, policy: Policy) -> Code | None:
    """Return why ``text`` (folded) may only match an equal request, or None: its meaning may be compared.

    ``empty-text``; ``invisible-text``: models read characters that embedders drop; ``long-text``: one vector cannot
    represent more than ``max_words`` words; ``few-words``: fewer than ``min_words`` words carry content, the meaning is
    elsewhere; ``volatile``: the answer changes with the day.
    """
    if not text:
        return "empty-text"
    # The beginning of a longer text is enough to see that it is too long.
    longest = _LONGEST_WORD * policy.max_words
    read = text[:longest]
    if _holds_invisible(read):
        return "invisible-text"
    plain = _plain(read)
    words = (_ASCII_WORD if plain.isascii() else _WORD).findall(plain)
    if len(words) > policy.max_words:
        return "long-text"
    if sum([word not in STOP_WORDS for word in words]) < policy.min_words:
        return "few-words"
    if len(text) > longest:
        return "long-text"
    if policy.volatile:
        pattern, heads = _volatile(policy.volatile)
        if not (heads and heads.isdisjoint(words)) and pattern.search(plain):
            return "volatile"
    return None


def _holds_invisible(text: str) -> bool:
    """Say whether a folded text has a character that is not seen: control, format, private, unassigned, blank.

    Joiners inside Persian, Indic or emoji sequences are such characters, too: no embedder promises to read them.
    """
    return not text.isprintable() or (not text.isascii() and _BLANK.search(text) is not None)


def _plain(text: str) -> str:
    """Return the text in lower case and ordinary letters, without the combining marks that no word pattern matches."""
    text = text.casefold()
    if text.isascii():
        return text
    return "".join([c for c in normalised("NFKD", text) if not unicodedata.category(c).startswith("M")])


@lru_cache(maxsize=256)
def _volatile(phrases: tuple[str, ...]) -> tuple[re.Pattern[str], frozenset[str]]:
    """Return the pattern of the phrases, for plain text, and their first words: a text without one needs no search.

    No words if a phrase has none: then every text is searched.
    """
    plain = [_plain(phrase) for phrase in phrases]
    spaced = sorted((r"\s+".join(map(re.escape, phrase.split())) for phrase in plain if phrase.split()), key=len)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(reversed(spaced)) or '(?!)'})(?!\w)")
    heads = [_WORD.findall(phrase)[:1] for phrase in plain]
    return pattern, frozenset(word[0] for word in heads) if all(heads) else frozenset()
