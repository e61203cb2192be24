"""What sort of answer a text asks for: when or where, whether one may or must, for all or for one.

Sources: the interrogative words, the modal verbs with their periphrastic forms, and the quantifying determiners of
English (Huddleston & Pullum, chapters 10, 3 and 5).
"""

from __future__ import annotations

from itertools import pairwise

from .lexicon import Word
from .lists import listed
from .parse import ONE, Parsed
from .phrases import MEASURES
from .words import HEDGES, PICKED_TIMES

_ASKED = {"when": "when", "where": "where", "why": "why", "who": "who", "whom": "who", "whose": "who"}
_QUESTIONS = _ASKED.keys() | {"how", "what", "which"}
_CONJUNCTIONS = frozenset(("when", "where"))
_VERBS = frozenset(
    listed("do does did can could should would will may might shall must is are am was were has have had don won")
)
_MANY = frozenset(("many", "much"))
# After these "how" asks for a way; elsewhere for a degree ("how old") or a state ("how are you").
_DONE = frozenset(listed("do does can could should would may might shall must to"))
_PERSONS = frozenset(listed("i you we one they he she"))
_MINE = frozenset(("i", "we"))
_BE = frozenset(("am", "are", "was", "were"))
_ME = frozenset(("me", "us"))
_HEDGED = HEDGES | {"explain"}
# Told apart where every other word is the same: "why does it use", "how does it use".
_OPENINGS = {"why": 1, "how": 1, "which": 1, "amount": 2}
# "Where can I buy it?" asks for a way to buy it.
_ALIKE = frozenset(("how", "where"))
_OFTEN = frozenset(("often", "frequently"))
_DEGREES = frozenset(MEASURES.values())  # "how long" has been read as "what length"
# "How long does it take" may be "when will it come" or "how many days does it take"; never one of these.
_OF_ANOTHER_SORT = frozenset(("how", "why", "who"))

_MODALS = {
    "can": "may", "could": "may", "may": "may", "might": "may", "must": "must", "should": "should", "ought": "should",
}  # fmt: skip
_VERDICTS = {
    "allowed": "may", "permitted": "may", "able": "may", "possible": "may", "have": "must", "has": "must",
    "need": "must", "needed": "must", "required": "must", "obliged": "must", "obligatory": "must", "mandatory": "must",
    "necessary": "must", "compulsory": "must", "supposed": "should",
}  # fmt: skip
_HAVE = frozenset(("have", "has"))
_FEW, _HARDLY = 4, 2  # differing words of content
_DUTIES = frozenset(("must", "should"))
_ARGUMENTS = frozenset(("who", "what", "which"))
_SUPPORT = frozenset(("do", "does", "did"))
_OPENERS = frozenset(listed("do does did am is are was were"))
_NEAR = 5  # words within which such a question says what it asks

_ALL = frozenset(listed("all every each whole entire everything"))
_SOME = frozenset(listed("any single most half part"))
_EXCEPT = frozenset(listed("except excepting excluding apart"))
_ADVERBIAL = frozenset(listed("at after above"))  # "at all"


def asks_otherwise(a: Parsed, b: Parsed, only_a: list[Word], only_b: list[Word]) -> str | None:
    """Return the reason if the texts ask for answers of two sorts."""
    x, y = _interrogative(a.words), _interrogative(b.words)
    if x and y and x != y and not (_asks(a, y) or _asks(b, x) or _alike(x, y, a, b)):
        return "question"
    p, q = _modality(a.words), _modality(b.words)
    if p and q and p != q:
        return "modality"
    if (x and x != "why" and q in _DUTIES) or (y and y != "why" and p in _DUTIES):  # "how do I", "should I"
        return "question"
    differing = len(only_a) + len(only_b)
    if differing > _FEW:
        return None
    reason = _picked_otherwise(a.words, b.words)
    if reason or differing > _HARDLY:
        return reason
    if {_quantity(a.words), _quantity(b.words)} == {"all", "some"}:
        return "quantifiers"
    if _excepts(a.words) != _excepts(b.words):
        return "antonyms"
    if _asked_alone(a.words, b.words):
        return "question"
    if only_a or only_b:
        return None
    another = _of_another(a.words, b.words) or _done_otherwise(a.words, b.words) or _owned_otherwise(a, b)
    return "direction" if another else None


def _picked_otherwise(x: tuple[Word, ...], y: tuple[Word, ...]) -> str | None:
    """Return the reason if one noun is "every device" in one text and "this device" in the other."""
    these, those = _picks(x), _picks(y)
    for noun in these.keys() & those.keys():
        if these[noun].isdisjoint(those[noun]):
            return "dates" if these[noun] | those[noun] <= PICKED_TIMES else "quantifiers"
    return None


def _picks(words: tuple[Word, ...]) -> dict[str, set[str]]:
    picks: dict[str, set[str]] = {}
    picked = ""
    for word, noun in pairwise(words):
        picked = picked if picked and word.picks == "some" else word.picks  # "every single day" is every day
        if picked and not noun.picks:
            picks.setdefault(noun.key, set()).add(picked)
    return picks


def _of_another(x: tuple[Word, ...], y: tuple[Word, ...]) -> bool:
    """True if one asks for the subject, "who beat them", and the other for the object, "who did they beat"
    (Huddleston & Pullum, 10.7.2).
    """
    return {_argument(x), _argument(y)} == {"subject", "object"}


def _argument(words: tuple[Word, ...]) -> str:
    if len(words) < 3 or words[0].form not in _ARGUMENTS:
        return ""
    if any(word.form in _SUPPORT for word in words[1:_NEAR]):  # also "what language do they speak"
        return "object"
    # Not "what's the meaning", whose verb is gone with the apostrophe.
    return "subject" if (words[1].open or words[1].frame) and _VERBS.isdisjoint([w.form for w in words]) else ""


def _done_otherwise(x: tuple[Word, ...], y: tuple[Word, ...]) -> bool:
    """True for "can I sue my neighbour" and "can my neighbour sue me"."""
    return {_part(x), _part(y)} == {"subject", "object"}


def _part(words: tuple[Word, ...]) -> str:
    """Return which part those who ask have, where the question opens with an auxiliary and its subject."""
    opened = next((here + 1 for here, word in enumerate(words[:_NEAR]) if word.form in _VERBS), 0)
    subject = words[opened : opened + 2]
    if not opened or not subject:
        return ""
    if subject[0].form in _MINE:
        return "" if words[opened - 1].form in _BE else "subject"  # "am I charged by the bank"
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
        word.key == key and here > 1 and words[here - 2].form in _VERBS and not word.form.endswith("s")
        for here, word in enumerate(words)
    )


def _alike(x: str, y: str, a: Parsed, b: Parsed) -> bool:
    """True if two questions seek one answer: where or how to get something; why it fails, how or when it will not."""
    if {x, y} == _ALIKE or ("degree" in (x, y) and _OF_ANOTHER_SORT.isdisjoint((x, y))):
        return True
    return (x == "why" and a.negations > 0) or (y == "why" and b.negations > 0)


def _interrogative(words: tuple[Word, ...]) -> str:
    """Return what the question asks for; "" where it does not begin with that."""
    for here, word in enumerate(words):
        if word.open:
            break
        if word.form in _QUESTIONS:
            if here == 0 and word.form in _CONJUNCTIONS and _form(words, 1) not in _VERBS:
                return ""  # "When I look at my statement, ..."
            asked = _asked_by(words, here)
            return "" if asked == "how" and not _seeks_way(words[here + 1 : here + 4]) else asked
    return ""


def _asked_by(words: tuple[Word, ...], here: int) -> str:
    """Return what the word at this place asks for, if it is an interrogative."""
    form = words[here].form
    if form == "how":
        after = _form(words, here + 1)
        if after in _OFTEN or (after == "many" and _form(words, here + 2) == "times"):
            return "frequency"
        return "amount" if after in _MANY else "why" if after == "come" else "how"
    if form == "what" and _form(words, here + 1) in _DEGREES:
        return "degree"
    return _ASKED.get(form, "")


def _asked_alone(x: tuple[Word, ...], y: tuple[Word, ...]) -> bool:
    """True if the texts differ in the question that they open with, and in no other word."""
    one, other = _opening(x), _opening(y)
    if one == other or not one or not other:
        return False
    rest_x, rest_y = x[_OPENINGS[one] :], y[_OPENINGS[other] :]
    return len(rest_x) == len(rest_y) and all(p.key == q.key for p, q in zip(rest_x, rest_y, strict=True))


def _opening(words: tuple[Word, ...]) -> str:
    asked = "which" if _form(words, 0) == "which" else _asked_by(words, 0) if words else ""
    return asked if asked in _OPENINGS else ""


def _form(words: tuple[Word, ...], here: int) -> str:
    return words[here].form if here < len(words) else ""


def _seeks_way(words: tuple[Word, ...]) -> bool:
    """True for what follows "how" in "how to ..." and "how can I ..."; not in "how can it be", "how do I know if"."""
    if not words or words[0].form not in _DONE:
        return False
    if words[0].form == "to":
        return True
    return len(words) > 2 and words[1].form in _PERSONS and words[2].form not in _HEDGED


def _asks(text: Parsed, asked: str) -> bool:
    """True if the text asks that as well: "when and where ...?", "why ...? How can I ...?"."""
    return any(_asked_by(text.words, here) == asked for here in range(len(text.words)))


def _modality(words: tuple[Word, ...]) -> str:
    """Return whether it is asked if something may, must or should be; "" for any other question."""
    if len(words) < 2 or words[1].form == "you":  # "can you tell me": a request
        return ""
    first = words[0].form
    if first not in _OPENERS:
        return _MODALS.get(first, "")
    for here, word in enumerate(words[1:_NEAR], start=1):
        said = _VERDICTS.get(word.form)
        if said is not None and (word.form not in _HAVE or _form(words, here + 1) == "to"):
            return said
    return ""


def _quantity(words: tuple[Word, ...]) -> str:
    """Return whether a text speaks of all or of some; "" where it says neither, or both."""
    of_all = of_some = False
    before = ""
    for here, word in enumerate(words):
        of_all = of_all or (word.form in _ALL and before not in _ADVERBIAL)
        of_some = of_some or word.form in _SOME or (word.form == ONE and _counts(words, here + 1))
        before = word.form
    return "" if of_all == of_some else "all" if of_all else "some"


def _excepts(words: tuple[Word, ...]) -> bool:
    return any(
        word.form in _EXCEPT and (word.form != "apart" or _form(words, here + 1) == "from")
        for here, word in enumerate(words)
    )


def _counts(words: tuple[Word, ...], after: int) -> bool:
    """True for "one" in "one of my cards", "at least one driver"; not in "at once" and "does one"."""
    return after < len(words) and (words[after].open or words[after].form == "of")
