"""What sort of answer a text asks for: when or where, whether one may or must.

Sources: the interrogative words and the modal verbs of English with their periphrastic forms (Huddleston & Pullum,
chapters 10 and 3).
"""

from __future__ import annotations

from semcache_text_guard.language.english import HEDGES, MEASURED, OPENING_VERBS, WAY_AFTER_HOW
from semcache_text_guard.language.lexicon import Word
from semcache_text_guard.reading.parse import Parsed, form_at

from .rule import Pair

_ASKED = {"when": "when", "where": "where", "why": "why", "who": "who", "whom": "who", "whose": "who"}
_QUESTIONS = _ASKED.keys() | {"how", "what", "which"}
_CONJUNCTIONS = frozenset(("when", "where"))
_MANY = frozenset(("many", "much"))
_PERSONS = frozenset(("i", "you", "we", "one", "they", "he", "she"))
_HEDGED = HEDGES | {"explain"}
# Distinguished only if all other words are equal: "why does it use", "how does it use".
_OPENINGS = {"why": 1, "how": 1, "which": 1, "amount": 2}
# "Where can I buy it?" asks for a way to buy it.
_ALIKE = frozenset(("how", "where"))
_OFTEN = frozenset(("often", "frequently"))
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
_DUTIES = frozenset(("must", "should"))
_OPENERS = frozenset(("do", "does", "did", "am", "is", "are", "was", "were"))
_NEAR = 5  # words within which such a question says what it asks


def asked(pair: Pair) -> str | None:
    """The texts ask for answers of two sorts.

    = Where can I get a permit? | How can I get a permit?
    = When will my refund come? | How do I know when my refund will come?
    = When and where was she born? | Where was she born?
    = Do I need to wear a tie? | Must I wear a tie?
    != When does the museum open? | Where does the museum open?
    != How often should I water a cactus? | How should I water a cactus?
    != Can I park on the pavement? | Must I park on the pavement?
    != Should I rebase a branch? | How do I rebase a branch?
    """
    a, b = pair.a, pair.b
    x, y = _interrogative(a.words), _interrogative(b.words)
    if x and y and x != y and not (_asks(a, y) or _asks(b, x) or _alike(x, y, a, b)):
        return "question"
    p, q = _modality(a.words), _modality(b.words)
    if p and q and p != q:
        return "modality"
    return "question" if _way_or_duty(x, q) or _way_or_duty(y, p) else None


def _way_or_duty(question: str, modality: str) -> bool:
    return bool(question) and question != "why" and modality in _DUTIES


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
            if here == 0 and word.form in _CONJUNCTIONS and form_at(words, 1) not in OPENING_VERBS:
                return ""  # "When I look at my statement, ..."
            asked = _asked_by(words, here)
            return "" if asked == "how" and not _seeks_way(words[here + 1 : here + 4]) else asked
    return ""


def _asked_by(words: tuple[Word, ...], here: int) -> str:
    """Return what the word at this place asks for, if it is an interrogative."""
    form = words[here].form
    if form == "how":
        after = form_at(words, here + 1)
        if after in _OFTEN or (after == "many" and form_at(words, here + 2) == "times"):
            return "frequency"
        return "amount" if after in _MANY else "why" if after == "come" else "how"
    if form == "what" and form_at(words, here + 1) in MEASURED:
        return "degree"
    return _ASKED.get(form, "")


def opening(pair: Pair) -> str | None:
    """The texts differ in the question that they open with, and in no other word.

    = How come the sky is blue? | Why is the sky blue?
    = How long does shipping take? | When does shipping take place?
    != Why does Git use hashes? | How does Git use hashes?
    != Which lakes are salty? | How many lakes are salty?
    """
    x, y = pair.a.words, pair.b.words
    one, other = _opening(x), _opening(y)
    if one == other or not one or not other:
        return None
    rest_x, rest_y = x[_OPENINGS[one] :], y[_OPENINGS[other] :]
    if len(rest_x) != len(rest_y) or any(p.key != q.key for p, q in zip(rest_x, rest_y, strict=True)):
        return None
    return "question"


def _opening(words: tuple[Word, ...]) -> str:
    asked = "which" if form_at(words, 0) == "which" else _asked_by(words, 0) if words else ""
    return asked if asked in _OPENINGS else ""


def _seeks_way(words: tuple[Word, ...]) -> bool:
    """True for what follows "how" in "how to ..." and "how can I ..."; not in "how can it be", "how do I know if"."""
    if not words or words[0].form not in WAY_AFTER_HOW:
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
        if said is not None and (word.form not in _HAVE or form_at(words, here + 1) == "to"):
            return said
    return ""
