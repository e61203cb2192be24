"""Normalises quotes, dashes and digits."""

from __future__ import annotations

import re
import unicodedata

PLACEHOLDER = 0xE000  # private use area: it has no meaning in a text, and ``fold`` removes it
MAX_FOUND = 6000

_PUNCTUATION = str.maketrans(
    dict.fromkeys("“”„‟«»「」『』", '"')
    | dict.fromkeys("‘’‚‛´", "'")
    | dict.fromkeys("‐‑‒–—―−", "-")
    | {"×": "*", "÷": "/", "→": "->", "≤": "<=", "≥": ">=", "≠": "!=", "،": ",", "٫": ".", "٬": ","}
)
_ACCENTED = re.compile("[\u00c0-\u017f\u1e00-\u1eff]")
_SQUARE = re.compile("(?<![A-Za-z])[a-ln-zA-LN-Z]([\u00b2\u00b3])")  # x² is x^2, m² a unit
_FRACTION = re.compile("(?<=[0-9])(?=[\u00bc-\u00be\u2150-\u215e])")  # 1½ is 1 1/2, not 11/2
_PRIVATE = re.compile("[\ue000-\uf8ff\ud800-\udfff]")


def fold(text: str) -> str:
    """Return the text with one kind of quotes, dashes and digits; ASCII is unchanged."""
    if text.isascii():
        return text
    text = _SQUARE.sub(lambda match: f"{match[0][0]}^{unicodedata.digit(match[1])}", _FRACTION.sub(" ", text))
    text = unicodedata.normalize("NFKC", _PRIVATE.sub(" ", text).translate(_PUNCTUATION)).replace("\u2044", "/")
    if _ACCENTED.search(text):
        text = _ACCENTED.sub(_bare, text)
    return "".join([c if c < "\x80" or not c.isdecimal() else str(unicodedata.decimal(c)) for c in text])


def _bare(match: re.Match[str]) -> str:
    # A dotless i has no accent to lose; expressions that ignore case take it for an i, and the tables have to, too.
    return unicodedata.normalize("NFD", match.group())[0].replace("ı", "i")
