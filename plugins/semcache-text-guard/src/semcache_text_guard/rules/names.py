"""Names: of one set, of which one text has one more, or written with a capital."""

from __future__ import annotations

from semcache_text_guard.language.lexicon import Word
from semcache_text_guard.reading.parse import Parsed

from .related import related
from .rule import Pair

_CALENDAR = frozenset(("month", "weekday", "season", "relative", "daytime", "period"))
_MANY_NAMES = 400  # pairs of other names, beyond which the texts are no wordings of one question


def of_one_set(pair: Pair) -> str | None:
    """The texts have different names of one set: countries, months, medicines, verbs that are taken for one another.

    = What is the capital of Peru? | Tell me Peru's capital city
    != What is the capital of Peru? | What is the capital of Chile?
    != Is the store open on Sunday? | Is the store open on Saturday?
    != How do I sort a list in Go? | How do I sort a list in Rust?
    != How can I stop an upload? | How can I prevent an upload?
    != How do I order a refund? | How do I purchase a refund?
    """
    shared = _sets(pair.only.a) & _sets(pair.only.b)
    if not shared:
        return None
    return "entities" if shared.isdisjoint(_CALENDAR) else "dates"


def _sets(words: list[Word]) -> set[str]:
    return {name for word in words if word.sets for name in word.sets}


def one_more(pair: Pair) -> str | None:
    """One text has a country, a month, a relative or the like, the other none, and nothing else differs.

    = polish my car | my car
    != May I see my son's school record? | May I see my school record?
    != print the list in reverse order | print the list in order
    """
    a, b = pair.a, pair.b
    return "entities" if _adds(a, pair.only.a, b) or _adds(b, pair.only.b, a) else None


def _adds(text: Parsed, mine: list[Word], other: Parsed) -> bool:
    return any(
        word.named
        and (word.key in text.names or "people" not in word.sets)  # polish is no Polish
        and ("relation" not in word.sets or word.key in text.owners or not _relates(other))
        and not any(related(word.form, there.form) for there in other.words)
        for word in mine
    )


def _relates(text: Parsed) -> bool:
    """True if the text names a relative: another one without a possession may only say who is meant."""
    return any("relation" in word.sets for word in text.content.values())


def capitals(pair: Pair) -> str | None:
    """Each text has a proper name that the other has not.

    = What does the UN do? | What does the United Nations do?
    = How do the Turks vote? | How do Turkish people vote?
    != How old is Emma Watson? | How old is Emma Stone?
    != What did Kepler discover? | Tell me the discoveries of Galileo
    """
    a, b = pair.a, pair.b
    if not a.names or not b.names or abbreviated(pair):
        return None
    names_a = [word for word in pair.only.a if word.key in a.names]
    names_b = [word for word in pair.only.b if word.key in b.names]
    if not names_a or not names_b:
        return None
    if len(names_a) * len(names_b) > _MANY_NAMES:
        return "entities"
    return None if any(related(x.form, y.form) for x in names_a for y in names_b) else "entities"


def abbreviated(pair: Pair) -> bool:
    """True if all that differs is a word and what its letters stand for.

    = What does the UN do? | What does the United Nations do?
    = my DOB is wrong | my date of birth is wrong
    """
    only_a, only_b = pair.only.a, pair.only.b
    if len(only_a) == 1 < len(only_b):
        return _stands_for(only_a[0], pair.b, only_b)
    return len(only_b) == 1 < len(only_a) and _stands_for(only_b[0], pair.a, only_a)


def _stands_for(short: Word, text: Parsed, only: list[Word]) -> bool:
    size = len(short.form)
    if not len(only) <= size <= 5:
        return False
    here = "".join([word.form[0] for word in text.words]).find(short.form)
    return here >= 0 and all(word in text.words[here : here + size] for word in only)
