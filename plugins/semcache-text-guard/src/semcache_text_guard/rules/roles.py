"""Who does what to whom, and from where to where: the same words, but the one where the other was."""

from __future__ import annotations

from itertools import pairwise

from semcache_text_guard.language.english import OPENING_VERBS
from semcache_text_guard.language.lexicon import FROM, Word
from semcache_text_guard.reading.parse import form_at

from .exchange import is_thing
from .rule import Pair

_DIFFERENT = frozenset(("different", "differently"))  # British: "to" as well as "from" (New Hart's Rules)
_OPENING = 5  # words within which a question has its verb
_MINE = frozenset(("i", "we"))
_BE = frozenset(("am", "are", "was", "were"))
_ME = frozenset(("me", "us"))
_ARGUMENTS = frozenset(("who", "what", "which"))
_SUPPORT = frozenset(("do", "does", "did"))
_PASSIVE = frozenset(("be", "get"))
_BOTH = {"subject", "object"}


def ends(pair: Pair) -> str | None:
    """What one text comes from, the other goes to.

    = a lift from the farm to the mill | a lift to the mill from the farm
    != Book a flight from Oslo to Lima | Book a flight from Lima to Oslo
    != How do I turn a JPEG into a PDF? | How do I turn a PDF file into a JPEG?
    """
    source_a, target_a = _ends(pair.a.words)
    if not source_a and not target_a:
        return None
    source_b, target_b = _ends(pair.b.words)
    # Not what is both, as the second of three in "from A to B to C".
    from_a, to_a = source_a - target_a, target_a - source_a
    exchanged = not (from_a.isdisjoint(target_b - source_b) or to_a.isdisjoint(source_b - target_b))
    return "direction" if exchanged else None


def turned(pair: Pair) -> str | None:
    """The same thing is where something comes from, and where it goes to.

    = How is a crow different from a raven? | How is a crow different to a raven?
    != the tax on a loan from my parents | the tax on a loan to my parents
    """
    one, other = _ways(pair.a.words), _ways(pair.b.words)
    if len(one) != 1 or len(other) != 1:
        return None
    (role_a, thing_a), (role_b, thing_b) = *one, *other
    return "direction" if thing_a == thing_b and role_a != role_b else None


def _ways(words: tuple[Word, ...]) -> set[tuple[int, str]]:
    """Return the words after "from" and "to", each with its preposition."""
    found: set[tuple[int, str]] = set()
    for here, word in enumerate(words):
        if word.role and word.form != "for" and not (here and words[here - 1].form in _DIFFERENT):
            things: set[str] = set()
            _first(words, here + 1, things)
            found |= {(word.role, thing) for thing in things}
    return found


def _ends(words: tuple[Word, ...]) -> tuple[set[str], set[str]]:
    """Return the keys of what something comes from and of where it goes to, by the words in front of them."""
    sources: set[str] = set()
    targets: set[str] = set()
    for here, word in enumerate(words):
        if not word.role:
            continue
        if word.role == FROM:
            _first(words, here + 1, sources)
        else:
            _first(words, here + 1, targets)
            if word.form != "for":
                # "A Word document to PDF": both words name what goes there.
                sources.update([before.key for before in words[max(0, here - 2) : here] if is_thing(before)])
    return sources, targets


def _first(words: tuple[Word, ...], start: int, found: set[str]) -> None:
    for word in words[start : start + 3]:
        if is_thing(word):
            found.add(word.key)
            return


def argument(pair: Pair) -> str | None:
    """One text asks for the subject and the other for the object (Huddleston & Pullum, 10.7.2).

    = What language do they speak? | What do they speak for a language?
    = What's the meaning of life? | What does life mean?
    != Who defeated Napoleon at Leipzig? | Who did Napoleon defeat at Leipzig?
    != What causes low tides? | What do low tides cause?
    """
    return "direction" if {_argument(pair.a.words), _argument(pair.b.words)} == _BOTH else None


def _argument(words: tuple[Word, ...]) -> str:
    if len(words) < 3 or words[0].form not in _ARGUMENTS:
        return ""
    if any(word.form in _SUPPORT for word in words[1:_OPENING]):  # also "what language do they speak"
        return "object"
    # Not "what's the meaning", whose verb is gone with the apostrophe.
    return "subject" if (words[1].open or words[1].frame) and OPENING_VERBS.isdisjoint([w.form for w in words]) else ""


def part(pair: Pair) -> str | None:
    """The asker does it in one text, and has it done to them in the other.

    = Will you warn me when it rains? | Will I be warned when it rains?
    = Does my bank let me close an account? | Can I close an account at my bank?
    = Will my bank charge me for it? | Am I charged for it by my bank?
    != Can I sue my neighbor? | Can my neighbor sue me?
    != What does my boss owe me? | What do I owe my boss?
    """
    return "direction" if {_part(pair.a.words), _part(pair.b.words)} == _BOTH else None


def _part(words: tuple[Word, ...]) -> str:
    """Return the asker's part, if the question opens with an auxiliary and its subject."""
    opened = next((here + 1 for here, word in enumerate(words[:_OPENING]) if word.form in OPENING_VERBS), 0)
    subject = words[opened : opened + 2]
    if not opened or not subject:
        return ""
    if subject[0].form in _MINE:
        # "Am I charged by the bank", "will I be told".
        passive = words[opened - 1].form in _BE or form_at(words, opened + 1) in _PASSIVE
        return "" if passive else "subject"
    named = subject[0].form != "it" and any(word.open for word in subject)
    # "Does the bank let me": no deed, for which there is a word of content right before the "me".
    return "object" if named and any(p.open and q.form in _ME for p, q in pairwise(words[opened + 1 :])) else ""


def owned(pair: Pair) -> str | None:
    """A relative owns something in one text, and does something in the other.

    = Can I read my husband's mail? | Can I read my husbands mail?
    != May I read my wife's mail? | May my wife read my mail?
    """
    a, b = pair.a, pair.b
    odd = a.owners ^ b.owners
    return "direction" if any(_is_subject((a if key in b.owners else b).words, key) for key in odd) else None


def _is_subject(words: tuple[Word, ...], key: str) -> bool:
    """True if "my husband" directly follows the verb that opens the question."""
    return any(
        word.key == key and here > 1 and words[here - 2].form in OPENING_VERBS and not word.form.endswith("s")
        for here, word in enumerate(words)
    )
