"""Names, and open slots of one template: what one text puts where the other puts something else."""

from __future__ import annotations

from .lexicon import Word
from .lists import listed
from .parse import Parsed
from .phrases import MEASURED
from .units import UNITS
from .words import AUXILIARIES, NO_ADVERBS, QUESTION_WORDS, VERB_BEFORE

_CALENDAR = frozenset(("month", "weekday", "season", "relative", "daytime", "period"))
_DO = frozenset(("do", "does", "did"))
_LITTLE = 1  # differing words of content beside which a name more or less still counts
_SLOT = 3  # words that a slot may hold
_PHYSICAL = frozenset(("length", "mass", "time", "calendar"))
_MANY_NAMES = 400  # pairs of other names, beyond which the texts are no wordings of one question

# Endings that derive one word from another: "engineer" / "engineering", "direct" / "direction" (Quirk et al., app. I).
_ENDINGS = frozenset([""]) | frozenset(
    listed(
        """; s; es; ed; ing; er; ers; or; ors; ion; ions; ation; ations; ication; ications; ition; ment; ments; ance;
        ence; al; ally; ly; e; y; ies; ied; ity; ive; ative; ness; ful; able; ible; ical; ic; ous; ant; ent; ist; ism;
        ish; d; r; t; n; ns; ans; ians; ue; ying; ating; ate; ates; ated; n; an; ian; a; ese; ization; ize; izing""",
        ";",
    )
)


def swapped(a: Parsed, b: Parsed, only_a: list[Word], only_b: list[Word]) -> str | None:
    """Return the reason if a name, or the filler of a slot, differs between the texts."""
    shared = [x.sets & y.sets for x in only_a if x.sets for y in only_b if not x.sets.isdisjoint(y.sets)]
    if shared:
        return "dates" if any(names & _CALENDAR for names in shared) else "entities"
    if len(only_a) == 1 < len(only_b) and _abbreviated(only_a[0], b, only_b):
        return None
    if len(only_b) == 1 < len(only_a) and _abbreviated(only_b[0], a, only_a):
        return None
    if _one_sided(a, b, only_a, only_b) or _capitals(a, b, only_a, only_b):
        return "entities"
    return "entities" if only_a and only_b and _filled_otherwise(a, b) else None


def _abbreviated(short: Word, text: Parsed, only: list[Word]) -> bool:
    """True if all that differs is a word and what its letters stand for: "UN" and "United Nations"."""
    size = len(short.form)
    if not len(only) <= size <= 5:
        return False
    here = "".join([word.form[0] for word in text.words]).find(short.form)
    return here >= 0 and all(word in text.words[here : here + size] for word in only)


def _one_sided(a: Parsed, b: Parsed, only_a: list[Word], only_b: list[Word]) -> bool:
    """True if one text names a country, a month or the like, the other none, and little else differs."""
    if len(only_a) + len(only_b) > _LITTLE:
        return False
    return _adds(a, only_a, b) or _adds(b, only_b, a)


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


def _capitals(a: Parsed, b: Parsed, only_a: list[Word], only_b: list[Word]) -> bool:
    """True if each text has a proper name that the other has not."""
    if not a.names or not b.names:
        return False
    names_a = [word for word in only_a if word.key in a.names]
    names_b = [word for word in only_b if word.key in b.names]
    if not names_a or not names_b:
        return False
    if len(names_a) * len(names_b) > _MANY_NAMES:
        return True
    return not any(related(x.form, y.form) for x in names_a for y in names_b)


def related(x: str, y: str) -> bool:
    """True for two forms of one word, or one word with a letter dropped or two exchanged by a slip of the pen."""
    if len(x) > len(y):
        x, y = y, x
    size = 0
    for p, q in zip(x, y, strict=False):
        if p != q:
            break
        size += 1
    if y in (x, x + "s") or (len(x) > 2 and y.startswith(x) and len(y) > len(x) + 2):
        return True
    if any(x[cut:] in _ENDINGS and y[cut:] in _ENDINGS for cut in range(max(4, size - 4), size + 1) if size >= 4):
        return True
    if len(x) < 4 or x[0] != y[0]:
        return False
    if len(x) == len(y):
        return len(x) > 4 and x[size : size + 2] == y[size : size + 2][::-1] and x[size + 2 :] == y[size + 2 :]
    # In a short word only a letter that was doubled, or should have been: "lose", "loose".
    return len(y) == len(x) + 1 and x[size:] == y[size + 1 :] and (len(x) > 4 or y[size] == y[size - 1])


def _filled_otherwise(a: Parsed, b: Parsed) -> bool:
    """True if the texts are two fillings of one template: equal but for one slot, and other nouns in it."""
    x, y = a.words, b.words
    size = min(len(x), len(y))
    head = 0
    while head < size and x[head].key == y[head].key:
        head += 1
    tail = 0
    while tail < size - head and x[-1 - tail].key == y[-1 - tail].key:
        tail += 1
    left, right = x[head : len(x) - tail], y[head : len(y) - tail]
    if not left or not right or max(len(left), len(right)) > min(_SLOT, head + tail):
        return False
    if head and "format" in x[head - 1].sets:  # a PDF file, a PDF document: the noun adds nothing
        return False
    fill_a, fill_b = _fill(left, b), _fill(right, a)
    if not fill_a or not fill_b or any(related(p.form, q.form) for p in fill_a for q in fill_b):
        return False
    one, other = "".join([w.form for w in left]), "".join([w.form for w in right])
    if not (one + other).isascii():
        # Elsewhere endings are not known: only a whole other word before the end, where the verb seldom stands.
        return len(left) == len(right) == 1 and tail > 0 and one[0] != other[0]
    if related(one, other):  # start ups, startup
        return False
    if _measures(fill_a, fill_b) or _measures(fill_b, fill_a):
        return False
    if not tail and one.endswith("ed") and other.endswith("ed"):  # "how were they chosen"
        return False
    return not (_verb(x, head, fill_a[0]) or _verb(y, head, fill_b[0]))


def _measures(x: list[Word], y: list[Word]) -> bool:
    """True for "how long" (what length) and "how many minutes"."""
    if len(x) != 1 or len(y) != 1 or x[0].form not in MEASURED:
        return False
    return UNITS.get(y[0].form, ("",))[0] in _PHYSICAL


def _fill(slot: tuple[Word, ...], other: Parsed) -> list[Word]:
    """Return the words of content in a slot, or none if the other text has one of them elsewhere: no mere exchange."""
    words = [word for word in slot if word.open and (word.form in NO_ADVERBS or not word.form.endswith("ly"))]
    return [] if any(word.key in other.content for word in words) else words


def _verb(words: tuple[Word, ...], head: int, fill: Word) -> bool:
    """True if what stands before the filler says that it is a verb: people exchange verbs and mean the same."""
    while words[head] is not fill:
        head += 1
    if head == 0 or words[head - 1].form not in VERB_BEFORE:
        return False
    # "Can hamsters ...", "why do bears ...": after an auxiliary that opens the question stands its subject.
    if words[head - 1].form not in AUXILIARIES:
        return True
    if head == 1 or words[head - 2].form in QUESTION_WORDS:
        return False
    return words[head - 1].form not in _DO or words[head - 2].form not in ("what", "which", "who")
