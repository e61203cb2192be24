"""Two things that have changed places, with a relation between them that has a direction."""

from __future__ import annotations

import msgspec

from semcache_core.types import Quiet
from semcache_text_guard.language.english import SYMMETRIC, WH_WORDS, stem
from semcache_text_guard.language.lexicon import Word

from .rule import Pair

Words = tuple[Word, ...]

_ARTICLES = frozenset(("a", "an", "the"))
_THIRD = frozenset(("he", "she", "they", "him", "them", "his", "hers", "their", "theirs", "her"))
_PEOPLE = frozenset(("people", "person"))
_PARTY = 3  # words that name one of two things
# One of these anywhere, and the order of what is compared means nothing.
_UNORDERED = SYMMETRIC - frozenset(
    ["and", "or", "with", "v", "both", "either", "nor", "common", "together", "same", "equal"]
)
# After one of these "with" has a direction.
_REPLACING = frozenset(stem(verb) for verb in ("replace", "substitute", "overwrite", "exchange", "buy", "pay"))


class Exchange(Quiet, msgspec.Struct, frozen=True):
    """A text with two things that have changed places in the other text."""

    text: Words
    before: Words
    left: Words
    between: Words
    right: Words


def transposed(pair: Pair) -> str | None:
    """Exchanging two things turns one text into the other, and their order means something.

    = What is the difference between TCP and UDP? | What is the difference between UDP and TCP?
    != Is a lion stronger than a tiger? | Is a tiger stronger than a lion?
    != Turn this slide deck into a poster | Turn this poster into a slide deck
    != Ann sold Bob a car. Is she liable to him? | Bob sold Ann a car. Is he liable to her?
    """
    x, y = pair.a.words, pair.b.words
    if len(x) != len(y):
        return None
    odd = [here for here in range(len(x)) if x[here].key != y[here].key and not _same_role(x[here], y[here])]
    if len(odd) < 2:
        return None
    moved = x[odd[0]].key
    if all(y[here].key != moved for here in odd):
        return None
    pairs = {(x[here].key, y[here].key) for here in odd}
    if len(odd) > 2 and len(pairs) == 2 and pairs == {(q, p) for p, q in pairs}:
        return "direction" if _everywhere(x, odd) else None
    exchange = _exchange(x, y, odd[0], odd[-1] + 1)
    return None if exchange is None or any(excuse(exchange) for excuse in EXCUSES) else "direction"


def _everywhere(x: Words, odd: list[int]) -> bool:
    """True if the two have changed places more than once, and the first time something with a direction links them.

    = coffee vs tea: which is healthier, coffee or tea? | tea vs coffee: which is healthier, tea or coffee?
    = Rome and Bari: is Rome or Bari older? | Bari and Rome: is Bari or Rome older?
    != The cat bit the dog, who treats the dog? | The dog bit the cat, who treats the cat?
    """
    links = [word.form for word in x[odd[0] + 1 : odd[1]] if word.form not in _ARTICLES]
    if links and all(form in SYMMETRIC for form in links):
        return False
    return all(_is_party(x[here]) for here in odd) and not any(word.form in _UNORDERED for word in x)


def _exchange(x: Words, y: Words, start: int, end: int) -> Exchange | None:
    first, last = _exchanged([_role(word) for word in x[start:end]], [_role(word) for word in y[start:end]])
    if not first:
        return None
    return Exchange(x, x[:start], x[start : start + first], x[start + first : end - last], x[end - last : end])


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
    """Return the word's key, equal for "he" and "she": the gender does not show who does what to whom."""
    return "they" if word.form in _THIRD else word.key


def _same_role(x: Word, y: Word) -> bool:
    return x.form in _THIRD and y.form in _THIRD


def is_thing(word: Word) -> bool:
    """True for a word that names something."""
    return word.open or word.key.startswith("#") or bool(word.sets)


def _is_party(word: Word) -> bool:
    return is_thing(word) or word.frame or word.form in _PEOPLE or bool(word.opposites)


def _adjoining(exchange: Exchange) -> bool:
    """There is nothing between the two, and they are not of one set.

    = show me the order status in red | show me the status order in red
    != a cheap flight rome athens | a cheap flight athens rome
    """
    left, right = exchange.left, exchange.right
    return not exchange.between and not (len(left) == len(right) == 1 and left[0].sets & right[0].sets)


def _nameless(exchange: Exchange) -> bool:
    """One of the two names nothing.

    = what is it in red | what it is in red
    """
    return not any(map(_is_party, exchange.left)) or not any(map(_is_party, exchange.right))


def _asking(exchange: Exchange) -> bool:
    """The question itself has moved.

    = In which room is the talk? | The talk is in which room?
    = World War I started when? | When started World War I?
    """
    return any(word.form in WH_WORDS for word in (*exchange.left, *exchange.right))


def _amount(exchange: Exchange) -> bool:
    """An amount of something.

    = parental leave of three months | three months of parental leave
    """
    if [word.form for word in exchange.between] != ["of"]:
        return False
    return any(word.key.startswith("#") for word in (*exchange.left, *exchange.right))


def _listed(exchange: Exchange) -> bool:
    """The words between the two only list them; the words before them do not link them.

    = cook lentils with rice | cook rice with lentils
    = which is deeper, Lake Como or Lake Garda | which is deeper, Lake Garda or Lake Como
    != How do I replace tabs with spaces? | How do I replace spaces with tabs?
    """
    said = {word.key for word in exchange.before}
    links = [word.form for word in exchange.between if word.form not in _ARTICLES and word.key not in said]
    if links == ["with"] and not said.isdisjoint(_REPLACING):
        return False
    return bool(links) and all(form in SYMMETRIC for form in links)


def _compared(exchange: Exchange) -> bool:
    """The text compares the two.

    = iPhone vs Android | Android vs iPhone
    """
    return any(word.form in _UNORDERED for word in exchange.text)


EXCUSES = (_adjoining, _nameless, _asking, _amount, _listed, _compared)
"""What makes an exchange the same question."""
