"""Who does what to whom, and from where to where: the same words, but the one where the other was."""

from __future__ import annotations

from itertools import pairwise

from .lexicon import FROM, Word, stem
from .lists import listed
from .parse import Parsed, form_at
from .words import OPENING_VERBS, SYMMETRIC, WH_WORDS

# One of these anywhere, and the order of what is compared means nothing.
_UNORDERED = SYMMETRIC - frozenset(listed("""and or with v both either nor common together same equal"""))
_ARTICLES = frozenset(("a", "an", "the"))
_THIRD = frozenset(listed("he she they him her them his hers their theirs"))
_PEOPLE = frozenset(("people", "person"))
_DIFFERENT = frozenset(("different", "differently"))  # British: "to" as well as "from" (New Hart's Rules)
_PARTY = 3  # words that name one of two things
_OPENING = 5  # words within which a question has its verb
_MINE = frozenset(("i", "we"))
_BE = frozenset(("am", "are", "was", "were"))
_ME = frozenset(("me", "us"))
_ARGUMENTS = frozenset(("who", "what", "which"))
_SUPPORT = frozenset(("do", "does", "did"))
_PASSIVE = frozenset(("be", "get"))
# After one of these "with" has a direction.
_REPLACING = frozenset(stem(verb) for verb in listed("replace substitute overwrite exchange buy pay"))


def reordered(a: Parsed, b: Parsed) -> str | None:
    """Return "direction" if the texts name the same things in exchanged roles: from A to B, from B to A."""
    if _exchanged_ends(a, b) or _transposed(a.words, b.words):
        return "direction"
    if a.content.keys() != b.content.keys():
        return None
    x, y = a.words, b.words
    recast = _turned(x, y) or _of_another(x, y) or _done_otherwise(x, y) or _owned_otherwise(a, b)
    return "direction" if recast else None


def _exchanged_ends(a: Parsed, b: Parsed) -> bool:
    source_a, target_a = _ends(a.words)
    if not source_a and not target_a:
        return False
    source_b, target_b = _ends(b.words)
    # Not what is both, as the second of three in "from A to B to C".
    from_a, to_a = source_a - target_a, target_a - source_a
    return not (from_a.isdisjoint(target_b - source_b) or to_a.isdisjoint(source_b - target_b))


def _turned(x: tuple[Word, ...], y: tuple[Word, ...]) -> bool:
    """True for "a gift from my parents" and "a gift to my parents"."""
    one, other = _ways(x), _ways(y)
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
    moved = x[odd[0]].key
    if all(y[here].key != moved for here in odd):
        return False
    pairs = {(x[here].key, y[here].key) for here in odd}
    if len(odd) > 2 and len(pairs) == 2 and pairs == {(q, p) for p, q in pairs}:
        # "The cat bit my dog, who treats the dog?": the same two everywhere.
        links = [word.form for word in x[odd[0] + 1 : odd[1]] if word.form not in _ARTICLES]
        listed_only = bool(links) and all(form in SYMMETRIC for form in links)
        return (
            not listed_only
            and all(_party(x[here]) for here in odd)
            and not any(word.form in _UNORDERED for word in x)  # "coffee vs tea: which is better, coffee or tea"
        )
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


def _of_another(x: tuple[Word, ...], y: tuple[Word, ...]) -> bool:
    """True if one asks for the subject, "who beat them", and the other for the object, "who did they beat"
    (Huddleston & Pullum, 10.7.2).
    """
    return {_argument(x), _argument(y)} == {"subject", "object"}


def _argument(words: tuple[Word, ...]) -> str:
    if len(words) < 3 or words[0].form not in _ARGUMENTS:
        return ""
    if any(word.form in _SUPPORT for word in words[1:_OPENING]):  # also "what language do they speak"
        return "object"
    # Not "what's the meaning", whose verb is gone with the apostrophe.
    return "subject" if (words[1].open or words[1].frame) and OPENING_VERBS.isdisjoint([w.form for w in words]) else ""


def _done_otherwise(x: tuple[Word, ...], y: tuple[Word, ...]) -> bool:
    """True for "can I sue my neighbour" and "can my neighbour sue me"."""
    return {_part(x), _part(y)} == {"subject", "object"}


def _part(words: tuple[Word, ...]) -> str:
    """Return which part those who ask have, where the question opens with an auxiliary and its subject."""
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


def _owned_otherwise(a: Parsed, b: Parsed) -> bool:
    """True for "can I open my husband's mail" and "can my husband open my mail"; "husbands" may lack its apostrophe."""
    odd = a.owners ^ b.owners
    return any(_is_subject((a if key in b.owners else b).words, key) for key in odd)


def _is_subject(words: tuple[Word, ...], key: str) -> bool:
    """True if "my husband" stands right after the verb that opens the question."""
    return any(
        word.key == key and here > 1 and words[here - 2].form in OPENING_VERBS and not word.form.endswith("s")
        for here, word in enumerate(words)
    )
