"""What the rules for words do not see, because reading folds or drops it: accents, look-alike letters, symbols."""

from __future__ import annotations

import re

from semcache_text_guard.reading.letters import Spellings, plain_spellings
from semcache_text_guard.reading.parse import Parsed

from .rule import Pair

# Feet and inches, minutes and seconds, derivatives. Behind a longer word it is an apostrophe or the end of a quotation.
_PRIME = re.compile(r"(?<![\w'\"])(\d{1,9}(?:\.\d{1,4})?|[A-Za-z])('{1,4}|\")(?![A-Za-z'\"])")


def accents(pair: Pair) -> str | None:
    """A word that is another word but for its accents, its marks, or letters that look alike.

    = ¿Cuántos años tiene? | ¿cuántos AÑOS tiene?
    = How long is 5 µm? | How long is 5 μm?
    = naïve Bayes explained | Please explain naïve Bayes
    != ¿Cuántos años tiene? | ¿Cuántos anos tiene?
    != Wie kann ich das drucken? | Wie kann ich das drücken?
    != Log in to paypal | Log in to p\u0430ypal
    """
    a, b = pair.a, pair.b
    if not a.spellings and not b.spellings:
        return None
    one, other = _spellings(a), _spellings(b)
    return "accents" if _respelled(one, other) or _respelled(other, one) else None


def _spellings(text: Parsed) -> Spellings:
    return text.spellings or plain_spellings(text.folded)


def _respelled(one: Spellings, other: Spellings) -> bool:
    """Say whether the other text spells a word otherwise; a mark without a letter must be in both."""
    return any(
        other.get(look, words if look.isalnum() and not look.isnumeric() else None) != words
        for look, words in one.items()
    )


def symbols(pair: Pair) -> str | None:
    """Other symbols or emoji, other characters that are not seen, or other primes after the same figure or letter.

    = Is 20 °C warm? | Is 20 degrees Celsius warm?
    = Is a ≤ b true? | Is a <= b true?
    != What does 👍 mean? | What does 👎 mean?
    != a tolerance of ±5 mm | a tolerance of 5 mm
    = How long is 5'' in cm? | How long is 5" in cm?
    != How tall is 6' in cm? | How tall is 6" in cm?
    != What is f'(x) for x cubed? | What is f''(x) for x cubed?
    """
    if pair.a.signs != pair.b.signs:
        return "symbols"
    a, b = pair.a.folded, pair.b.folded
    if not ("'" in a or '"' in a) or not ("'" in b or '"' in b):
        return None
    one, other = _primes(a), _primes(b)
    return "symbols" if any(other.get(item, marks) != marks for item, marks in one.items()) else None


def _primes(text: str) -> dict[str, str]:
    """Return the last prime of each figure or letter that has one."""
    return {item: marks.replace('"', "''") for item, marks in _PRIME.findall(text)}
