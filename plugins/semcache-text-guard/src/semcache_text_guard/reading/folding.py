"""Normalises quotes, dashes and digits."""

from __future__ import annotations

import re
import unicodedata

PLACEHOLDER = 0xE000  # private use area: it has no meaning in a text, and ``fold`` removes it
MAX_FOUND = 128
"""Items in a text; more are a table, and reading an item takes long."""

_PUNCTUATION = str.maketrans(
    dict.fromkeys("“”„‟«»「」『』", '"')
    | dict.fromkeys("‘’‚‛´", "'")
    | dict.fromkeys("‐‑‒–—―−⁻", "-")
    | {"⁺": "+", "×": "*", "÷": "/", "→": "->", "≤": "<=", "≥": ">=", "≠": "!=", "،": ",", "٫": ".", "٬": ","}
)
_ACCENTED = re.compile("[\u00c0-\u017f\u1e00-\u1eff]")
_SQUARE = re.compile("(?<![A-Za-z])[a-ln-zA-LN-Z]([\u00b2\u00b3])")  # x² is x^2, m² a unit
_POWER = re.compile("(?<=[0-9)])[\u207a\u207b]?[\u00b2\u00b3\u00b9\u2070\u2074-\u2079]+")  # 10² is 10^2, not 102
_APART = re.compile(  # 1½ is 1 1/2, not 11/2; 10₂ and 1② are two figures
    "(?<=[0-9])(?=[\u00bc-\u00be\u2080-\u2089\u2150-\u215e\u2460-\u2473\u24ea-\u24ff\u2776-\u2793])"
)
_OTHER_DIGIT = re.compile(r"[^\D\x00-\x7f]")
_PRIVATE = re.compile("[\ue000-\uf8ff\ud800-\udfff]")
# Marks in a row, half-width sound marks that become some, and other signs. Normalising takes time by the square of such
# a run, so a joiner divides it (Unicode UAX #15, stream-safe text format).
_STACKED = re.compile(r"(?:[^\w\s\x00-\x7f]|[\uff9e\uff9f]){30}")


def composed(text: str) -> str:
    """Return the text in normal form C, in linear time."""
    return text if text.isascii() else unicodedata.normalize("NFC", _STACKED.sub("\\g<0>\u034f", text))


def fold(text: str) -> str:
    """Return a composed text with one kind of quotes, dashes and digits; ASCII is unchanged."""
    if text.isascii():
        return text
    text = _SQUARE.sub(lambda match: f"{match[0][0]}^{unicodedata.digit(match[1])}", _APART.sub(" ", text))
    text = _POWER.sub(r"^\g<0>", text)
    text = unicodedata.normalize("NFKC", _PRIVATE.sub(" ", text).translate(_PUNCTUATION)).replace("\u2044", "/")
    if _ACCENTED.search(text):
        text = _ACCENTED.sub(_bare, text)
    return _OTHER_DIGIT.sub(lambda match: str(unicodedata.decimal(match[0])), text)


def _bare(match: re.Match[str]) -> str:
    # A dotless i has no accent to lose; expressions that ignore case take it for an i, and the tables have to, too.
    return unicodedata.normalize("NFD", match.group())[0].replace("ı", "i")
