"""Unicode normalisation in time that is proportional to the text.

``unicodedata.normalize`` sorts each run of combining marks by insertion: 120 kB of them take seconds. Unicode itself
names the bound (UAX #15, 13, stream-safe format): no real text has more than 30 marks in a row.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

__all__ = ["normalised"]

_LONGEST_RUN = 30
# Every combining mark is one of these, and the two letters that become one (half-width sound marks); so are punctuation
# and symbols, which it does no harm to cut.
_RUN = re.compile(rf"(?:[^\w\s]|[\uff9e\uff9f]){{{_LONGEST_RUN + 1},}}")


def normalised(form: Literal["NFC", "NFD", "NFKC", "NFKD"], text: str) -> str:
    """Return the text in a normal form; in a run of more than 30 marks or symbols, each 30 by themselves."""
    if text.isascii():
        return text
    if _RUN.search(text) is None:
        return unicodedata.normalize(form, text)
    pieces = []
    start = 0
    for run in _RUN.finditer(text):
        for cut in range(run.start() + _LONGEST_RUN, run.end(), _LONGEST_RUN):
            pieces.append(text[start:cut])
            start = cut
    pieces.append(text[start:])
    return "".join([unicodedata.normalize(form, piece) for piece in pieces])
