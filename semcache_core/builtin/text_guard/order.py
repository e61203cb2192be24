"""The order of arguments: the same words, but the one where the other was."""

from __future__ import annotations

from .lexicon import FROM, Word, stem
from .lists import listed
from .parse import Parsed
from .words import SYMMETRIC

# One of these anywhere, and the order of what is compared means nothing.
_UNORDERED = SYMMETRIC - frozenset(listed("""and or with v both either nor common together same equal"""))
_ARTICLES = frozenset(("a", "an", "the"))
# After one of these "with" has a direction.
_REPLACING = frozenset(stem(verb) for verb in listed("replace substitute overwrite exchange buy pay"))


def reordered(a: Parsed, b: Parsed) -> str | None:
    """Return "direction" if the texts name the same things in exchanged roles: from A to B, from B to A."""
    if _exchanged_ends(a, b) or _transposed(a.words, b.words):
        return "direction"
    return None


def _exchanged_ends(a: Parsed, b: Parsed) -> bool:
    source_a, target_a = _ends(a.words)
    if not source_a and not target_a:
        return False
    source_b, target_b = _ends(b.words)
    return bool(source_a & target_b - source_b and target_a & source_b - target_b)


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
            if here and word.form != "for" and _thing(words[here - 1]):
                sources.add(words[here - 1].key)
    return sources, targets


def _thing(word: Word) -> bool:
    return word.open or word.key.startswith("#") or bool(word.sets)


def _first(words: tuple[Word, ...], start: int, found: set[str]) -> None:
    for word in words[start : start + 3]:
        if _thing(word):
            found.add(word.key)
            return


def _transposed(x: tuple[Word, ...], y: tuple[Word, ...]) -> bool:
    """True if exchanging two things turns one text into the other, with a relation between that has a direction."""
    if len(x) != len(y):
        return False
    odd = [here for here in range(len(x)) if x[here].key != y[here].key]
    if len(odd) != 2:
        return False
    i, j = odd
    if x[i].key != y[j].key or x[j].key != y[i].key:
        return False
    if j == i + 1 and not x[i].sets & x[j].sets:  # "order status", "status order"; but not "rome athens"
        return False
    if not _thing(x[i]) or not _thing(x[j]):
        return False
    between = [word.form for word in x[i + 1 : j]]
    replacing = between == ["with"] and any(word.stem in _REPLACING for word in x[:i])
    linking = [form for form in between if form not in _ARTICLES]
    if linking and not replacing and all(form in SYMMETRIC for form in linking):
        return False
    return not any(word.form in _UNORDERED for word in x)
