"""The order of arguments: the same words, but the one where the other was."""

from __future__ import annotations

from .lexicon import FROM, Word, stem
from .lists import listed
from .parse import Parsed
from .words import SYMMETRIC, WH_WORDS

# One of these anywhere, and the order of what is compared means nothing.
_UNORDERED = SYMMETRIC - frozenset(listed("""and or with v both either nor common together same equal"""))
_ARTICLES = frozenset(("a", "an", "the"))
_THIRD = frozenset(listed("he she they him her them his hers their theirs"))
_PEOPLE = frozenset(("people", "person"))
_DIFFERENT = frozenset(("different", "differently"))  # British: "to" as well as "from" (New Hart's Rules)
_PARTY = 3  # words that name one of two things
# After one of these "with" has a direction.
_REPLACING = frozenset(stem(verb) for verb in listed("replace substitute overwrite exchange buy pay"))


def reordered(a: Parsed, b: Parsed) -> str | None:
    """Return "direction" if the texts name the same things in exchanged roles: from A to B, from B to A."""
    if _exchanged_ends(a, b) or _turned(a, b) or _transposed(a.words, b.words):
        return "direction"
    return None


def _exchanged_ends(a: Parsed, b: Parsed) -> bool:
    source_a, target_a = _ends(a.words)
    if not source_a and not target_a:
        return False
    source_b, target_b = _ends(b.words)
    # Not what is both, as the second of three in "from A to B to C".
    from_a, to_a = source_a - target_a, target_a - source_a
    return not (from_a.isdisjoint(target_b - source_b) or to_a.isdisjoint(source_b - target_b))


def _turned(a: Parsed, b: Parsed) -> bool:
    """True for "a gift from my parents" and "a gift to my parents", where nothing else differs."""
    if a.content.keys() != b.content.keys():
        return False
    one, other = _ways(a.words), _ways(b.words)
    if len(one) != 1 or len(other) != 1:
        return False
    (role_a, thing_a), (role_b, thing_b) = *one, *other
    return thing_a == thing_b and role_a != role_b


def _ways(words: tuple[Word, ...]) -> set[tuple[int, str]]:
    """Return what stands after "from" and "to", and which of the two it was."""
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
                sources.update([before.key for before in words[max(0, here - 2) : here] if _thing(before)])
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
    odd = [here for here in range(len(x)) if x[here].key != y[here].key and not _same_role(x[here], y[here])]
    if len(odd) < 2:
        return False
    pairs = {(x[here].key, y[here].key) for here in odd}
    if len(odd) > 2 and len(pairs) == 2 and pairs == {(q, p) for p, q in pairs}:
        # "The cat bit my dog, who treats the dog?": the same two everywhere.
        return all(_party(x[here]) for here in odd)
    start, end = odd[0], odd[-1] + 1
    first, last = _exchanged([_role(word) for word in x[start:end]], [_role(word) for word in y[start:end]])
    if not first:
        return False
    left, between, right = x[start : start + first], x[start + first : end - last], x[end - last : end]
    if not between and not (first == last == 1 and left[0].sets & right[0].sets):
        return False  # "order status", "status order"; but not "rome athens"
    if not any(map(_party, left)) or not any(map(_party, right)):
        return False
    if any(word.form in WH_WORDS for word in (*left, *right)):  # "on which floor is it", "it is on which floor"
        return False
    if [word.form for word in between] == ["of"] and any(word.key.startswith("#") for word in (*left, *right)):
        return False  # "leave of three months", "three months of leave"
    replacing = [word.form for word in between] == ["with"] and any(word.stem in _REPLACING for word in x[:start])
    # "Lake Victoria or Lake Superior": what stands before both of them links nothing.
    said = {word.key for word in x[:start]}
    linking = [word.form for word in between if word.form not in _ARTICLES and word.key not in said]
    if linking and not replacing and all(form in SYMMETRIC for form in linking):
        return False
    return not any(word.form in _UNORDERED for word in x)


def _exchanged(p: list[str], q: list[str]) -> tuple[int, int]:
    """Return how many words at the start of ``p`` have changed places with how many at its end; 0, 0 if none have."""
    size = len(p)
    if p[0] not in q or q[0] not in p:
        return 0, 0
    for first in range(1, min(_PARTY, size - 1) + 1):
        for last in range(1, min(_PARTY, size - first) + 1):
            if q == p[size - last :] + p[first : size - last] + p[:first]:
                return first, last
    return 0, 0


def _role(word: Word) -> str:
    """Return the word's key; who is a he or a she tells nothing about who does what to whom."""
    return "they" if word.form in _THIRD else word.key


def _same_role(x: Word, y: Word) -> bool:
    return x.form in _THIRD and y.form in _THIRD


def _party(word: Word) -> bool:
    return _thing(word) or word.frame or word.form in _PEOPLE or bool(word.opposites)
