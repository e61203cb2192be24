"""The text guard: it never fails, says the same both ways, and accepts a text for itself."""

from __future__ import annotations

from semcache_core.types import Accept, Reject
from semcache_text_guard.compare import compare
from semcache_text_guard.reading.parse import MAX_CHARS

from ..reader import Reader

_WORDS = """not never no 3 5 mg 5mg 1,000 three hundred and half 3pm at May 1 2024 2024-05-01 from Oslo to Lima than
Paris 'x "y" `z` http://a.b @ a@b.co - -- + 2+2 US IT Go vitamin C isn't can't one two first enable disable up down
every all this next last devices device of my husband husband's when where how many can must should I do who always
right wrong ٣ ½ ² ① é 서울 北京 C++ v1.2 1.2.3 B-12 b_c f() /etc/x ? . ! close shut near pay salary quick quicker"""
_TOO_LONG = Reject(reason="length")


def check(data: bytes) -> None:
    """Compare two texts: as they are, or words of the guard's own vocabulary; long ones by repetition."""
    reader = Reader(data)
    of_words, times = reader.number(1), reader.pick((1, 1, 1, 7, 400))
    middle = reader.number(65535)
    rest = reader.rest()
    if of_words:
        known = _WORDS.split()
        words = [known[each % len(known)] for each in rest]
        at = middle % (len(words) + 1)
        one, two = " ".join(words[:at]), " ".join(words[at:])
    else:
        text = rest.decode("utf-8", "replace")
        at = middle % (len(text) + 1)
        one, two = text[:at], text[at:]
    one, two = (one * times)[:MAX_CHARS], (two * times)[:MAX_CHARS]
    assert compare(one, two) == compare(two, one), f"{one!r} and {two!r} compare differently the other way round"
    # Folded, a text may be too long that was not.
    assert compare(one, one + " ") in (Accept(), _TOO_LONG), f"{one!r} does not answer itself"
