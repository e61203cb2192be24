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
_LONGEST_WORD = 128
"""Characters a word, its mark-up and its white space at most, on average: what is longer is no question of words."""
_ASCII_WORD = re.compile("[a-z0-9]+")
"""The same for folded ASCII, at half the cost."""
_WORD = re.compile(f"[{_ALONE}]|[^\\W_{_ALONE}]+")


def fold(text: str) -> str:
    """Return the text to embed: NFC, each run of white space one space, none at the ends."""
    return " ".join(normalised("NFC", text).split())


def compared(text: str, policy: Policy) -> tuple[str, Code | None]:
    """Return the folded text to compare, and why it may only match an equal request (``exact_only_reason``).

    A text with far more characters than ``max_words`` words can have is not even folded.
    """
    if len(text) > _LONGEST_WORD * policy.max_words:
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

    ``empty-text``; ``long-text``: one vector cannot represent more than ``max_words`` words; ``few-words``: fewer than
    ``min_words`` words carry content, the meaning is elsewhere; ``volatile``: the answer changes with the day.
    """
    if not text:
        return "empty-text"
    plain = _unmarked(text.casefold())
    # The beginning of a very long text is enough to see that it is too long.
    enough = 16 * policy.max_words
    words_of = (_ASCII_WORD if plain.isascii() else _WORD).findall
    words = words_of(plain, 0, enough)
    if len(plain) > enough and len(words) <= policy.max_words:
        words = words_of(plain)
    if len(words) > policy.max_words:
        return "long-text"
    if sum([word not in STOP_WORDS for word in words]) < policy.min_words:
        return "few-words"
    if policy.volatile:
        pattern, heads = _volatile(policy.volatile)
        if not (heads and heads.isdisjoint(words)) and pattern.search(text):
            return "volatile"
    return None


def _unmarked(text: str) -> str:
    """Remove combining marks: they belong to the word before them, but no word pattern matches them."""
    if text.isascii():
        return text
    return "".join([c for c in text if c.isascii() or not unicodedata.category(c).startswith("M")])


@lru_cache(maxsize=256)
def _volatile(phrases: tuple[str, ...]) -> tuple[re.Pattern[str], frozenset[str]]:
    """Return the pattern of the phrases and their first words: a text without one needs no search.

    No words if a phrase has none: then every text is searched.
    """
    spaced = sorted((r"\s+".join(map(re.escape, phrase.split())) for phrase in phrases if phrase.split()), key=len)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(reversed(spaced)) or '(?!)'})(?!\w)", re.IGNORECASE)
    heads = [_WORD.findall(_unmarked(phrase.casefold()))[:1] for phrase in phrases]
    return pattern, frozenset(word[0] for word in heads) if all(heads) else frozenset()
