"""Reads what folding and tokenizers drop: accents and other marks, look-alike letters, symbols, what is not seen.

``fold`` brings such spellings together so that the rules know the words. What was folded away is compared here as
written: to an uncased model "año" and "ano" are one word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping

_WORD = re.compile("[a-z0-9]+")
_PLAIN = re.compile(r"[\t\n\r -~]*")

# Letters that look like others, or are others with a stroke, after compatibility decomposition and case folding
# (Unicode UTS #39, confusables of ASCII letters). Not the dotless i, which Turkish words often lose.
_ALIKE = str.maketrans(
    dict(zip("аеорсухіјѕһԁԛԝвкмнтгьӏ", "aeopcyxijshdqwbkmhtrbl", strict=True))
    | dict(zip("αβγεηικνορτυχω", "abyenikvoptuxw", strict=True))
    | dict(zip("օսոհցԍցյզ", "ounhggqjq", strict=True))
    | dict(zip("øłđħŧðƀɨʉɑɡɩƒɓɗɠŋᴀᴄᴅᴇᴊᴋᴍᴏᴘᴛᴜᴠᴡᴢꜱ", "oldhtdbiuagifbdgnacdejkmoptuvwzs", strict=True))
    | {"ϲ": "c", "ϳ": "j", "æ": "ae", "œ": "oe", "þ": "th", "\u115f": "", "\u1160": ""}
)
_SAME = {0xB5: 0x3BC}
"""The micro sign and the Greek letter are one character in two places."""

# Punctuation that changes what is said; all other punctuation only separates.
_SAYING = frozenset("‰‱′″‴§¶†‡※‖")
_FOLDED = frozenset(("So", "Sk"))
_UNITS = frozenset([*map(chr, range(0x2100, 0x2150)), *map(chr, range(0x3300, 0x3400)), "´"])
"""Written out by folding with the same meaning: ℃, №, ™, ㎏, the accent that is an apostrophe."""
_OTHER = re.compile(r"[^\w\s\x00-\x7f\ue000-\uf8ff]")
_HIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\ue000-\uf8ff]")
"""Not seen, and not matched by ``_OTHER``: ASCII, white space, private use (in ``rest`` a placeholder)."""

Spellings = Mapping[str, tuple[str, ...]]
"""Words as written in lower case, by what they look like without marks; in order of first appearance.

Not figures, which are compared as numbers.
"""


def is_plain(text: str) -> bool:
    """True for printable ASCII and line breaks: nothing that folding or a tokenizer drops."""
    return text.isascii() and (text.isprintable() or _PLAIN.fullmatch(text) is not None)


def plain_spellings(text: str) -> Spellings:
    """Return the spellings of a plain text."""
    return {word: (word,) for word in _WORD.findall(text.lower()) if not word.isnumeric()}


def spellings(text: str) -> Spellings:
    """Return the spellings of any text in normal form C."""
    found: dict[str, dict[str, None]] = {}
    for chunk in text.split():
        words = _WORD.findall(chunk.lower()) if chunk.isascii() else _words(chunk)
        for word in words:
            if not word.isnumeric():
                found.setdefault(_skeleton(word), {})[word] = None
    return {skeleton: tuple(words) for skeleton, words in found.items()}


def _words(chunk: str) -> Iterator[str]:
    """Yield the runs of letters, figures and marks; a mark on anything else is a word with it."""
    word = before = ""
    for character in chunk:
        if character.isalnum() or unicodedata.category(character)[0] == "M":
            word = (word or before) + character if not character.isalnum() else word + character
        elif word:
            yield word.lower().translate(_SAME)
            word = ""
        before = character
    if word:
        yield word.lower().translate(_SAME)


def _skeleton(word: str) -> str:
    if word.isascii():
        return word
    bare = [c for c in unicodedata.normalize("NFKD", word.translate(_ALIKE)) if unicodedata.category(c)[0] != "M"]
    return "".join(bare).casefold().translate(_ALIKE)


def signs(text: str, rest: str) -> tuple[str, ...]:
    """Return the characters that are not seen, and the symbols, each in order.

    ``text`` is as written; ``rest`` is what reading has left of it: a sign of a quantity (€, °) is compared with that.
    """
    hidden = _HIDDEN.findall(text)
    hidden += filter(_vanishes, _OTHER.findall(text))
    return (*hidden, *filter(_says, _OTHER.findall(rest)))


def _vanishes(character: str) -> bool:
    """True for what is not seen, and for a symbol that folding takes for a letter or a space: Ⓐ, ¨."""
    kind = unicodedata.category(character)
    if kind[0] == "C":
        return True
    return kind in _FOLDED and character not in _UNITS and unicodedata.normalize("NFKC", character) != character


def _says(character: str) -> bool:
    return unicodedata.category(character)[0] == "S" or character in _SAYING
