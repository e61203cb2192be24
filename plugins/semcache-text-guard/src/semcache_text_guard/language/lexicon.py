"""What is known of one word: its stem, the group of synonyms and the sets of names it belongs to, its opposites."""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from .classes import NAMED, SETS
from .lists import listed
from .opposites import PARTICLES, PREFIXES, SUFFIXES, pairs
from .synonyms import groups
from .units import NUMBER_WORDS, ORDINALS, SCALES, UNITS
from .words import COUNTED, FRAME, FUNCTION, MONTH_WORDS, NEGATORS, PICKS, SOURCE, TARGET, WEEKDAYS

FROM, TO = 1, 2
_NOTHING: frozenset[str] = frozenset()


class Word(msgspec.Struct, frozen=True, gc=False):
    """A word as the rules see it: ``key`` is equal for words that ask the same, ``open`` false for function words."""

    form: str
    stem: str
    key: str
    open: bool = False
    frame: bool = False
    negates: bool = False
    sets: frozenset[str] = _NOTHING
    named: bool = False
    opposites: frozenset[str] = _NOTHING
    number: int | None = None
    tells: bool = False  # says something that the other text may lack
    plain: bool = False  # needs none of the reader's special cases
    picks: str = ""  # which of what follows it means
    role: int = 0  # of what follows: FROM, TO, or none
    roots: tuple[str, ...] = ()  # the word, also without the ends by which regular opposites differ


# Inflections without a rule (Quirk et al., irregular verbs and plurals), for words that questions use.
IRREGULAR: dict[str, str] = {
    form: base
    for line in listed(
        """buy bought; send sent; pay paid; make made; take took taken; lose lost; find found; give gave given; begin
        began begun; break broke broken; build built; choose chose chosen; drive drove driven; eat ate eaten; fall
        fell fallen; feel felt; fly flew flown; forget forgot forgotten; grow grew grown; hear heard; hold held; keep
        kept; know knew known; learn learnt; leave left; lend lent; mean meant; meet met; run ran; see saw seen; sell
        sold; sleep slept; speak spoke spoken; spend spent; steal stole stolen; swim swam; teach taught; tell told;
        think thought; throw threw thrown; understand understood; wear wore worn; win won; write wrote written; man
        men; woman women; child children; foot feet; tooth teeth; mouse mice; goose geese; analysis analyses; crisis
        crises; life lives; wife wives; knife knives; wolf wolves; leaf leaves; withdraw withdrew withdrawn; say said;
        die dying; lie lying; bring brought; catch caught; draw drew drawn; drink drank drunk; fight fought; freeze
        froze frozen; sing sang sung; shoot shot; stand stood; wake woke woken; become became; cactus cacti; criterion
        criteria; phenomenon phenomena; fungus fungi; nucleus nuclei; stimulus stimuli; radius radii; vertex vertices;
        matrix matrices; index indices; bacterium bacteria; thesis theses; hypothesis hypotheses; diagnosis diagnoses;
        shelf shelves; half halves; thief thieves; loaf loaves; ox oxen; burn burnt; dream dreamt; spell spelt;
        spill spilt; spoil spoilt""",
        ";",
    )
    for base, *forms in [line.split()]
    for form in forms
}
_NO_PLURAL = ("ss", "us", "is")
_NO_PLURALS = frozenset(
    listed(
        """news ios macos tvos watchos chromeos centos chaos cosmos ethos pathos asbestos thermos kudos rhinoceros laos
        lagos carlos barbados"""
    )
)


# British to American spelling, in any word; regular endings are ``_spelled``'s (New Hart's Rules, chapter 21).
_SPELLINGS: tuple[tuple[str, str], ...] = tuple(
    (british, american)
    for british, american in map(
        str.split,
        listed(
            """isation ization; aemi emi; aest est; paed ped; haem hem; gynaec gynec; archaeo archeo; oestr estr;
            oede ede; oesoph esoph; foet fet; rrhoe rrhe; manoeuvr maneuver; sulph sulf; plough plow; sceptic skeptic;
            moustach mustach""",
            ";",
        ),
    )
)
_OUR = re.compile(r"(?<=[a-z]{3})our")


def _spelled(stem: str) -> str:
    """Return one spelling of a stem that has two: "summaris" / "summariz", "colour" / "color", "cancell" / "cancel"."""
    if len(stem) < 4:
        return stem
    for british, american in _SPELLINGS:
        if british in stem:
            stem = stem.replace(british, american)
    if "our" in stem:
        stem = _OUR.sub("or", stem)
    if stem.endswith(("is", "ys")):
        return stem[:-1] + "z"
    if stem.endswith("y"):  # one of movie and movies, city and cities
        return stem[:-1] + "i"
    if stem.endswith(("tr", "br")):  # centre, fibre
        return stem[:-1] + "er"
    if stem.endswith(("ogu", "ll")) and len(stem) > 5:
        return stem[:-1]
    return stem


def _trim(word: str) -> str:
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
        return word[:-1]
    return word


def stem(word: str) -> str:
    """Return the word without plural, tense and comparison endings, in one spelling: a light stemmer, on purpose not a
    strong one.
    """
    return _spelled(_without_endings(word))


def _without_endings(word: str) -> str:
    word = IRREGULAR.get(word, word)
    size = len(word)
    if size > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if size > 3 and word.endswith("s") and not word.endswith(_NO_PLURAL) and word not in _NO_PLURALS:
        word = word[:-2] if word.endswith(("sses", "shes", "ches", "xes", "zes")) else word[:-1]
        size = len(word)
    if size > 5 and word.endswith("ing") and any(c in "aeiouy" for c in word[:-3]):
        word = _trim(word[:-3])
    elif size > 4 and word.endswith("ied"):
        word = word[:-3] + "y"
    elif size > 4 and word.endswith("ed") and any(c in "aeiouy" for c in word[:-2]):
        word = _trim(word[:-2])
    elif size > 5 and word.endswith("iest"):
        word = word[:-4] + "y"
    elif size > 5 and word.endswith("est") and word not in ("interest", "request", "forest", "harvest", "protest"):
        word = _trim(word[:-3])
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


def _keys() -> dict[str, str]:
    keys: dict[str, str] = {}
    for group in groups():
        first = keys.get(stem(group[0]), stem(group[0]))
        for word in group:
            keys.setdefault(stem(word), first)
    return keys


def _opposites() -> dict[str, set[str]]:
    table: dict[str, set[str]] = {}
    for left, right in pairs():
        a, b = _KEYS.get(stem(left), stem(left)), _KEYS.get(stem(right), stem(right))
        if a != b:
            table.setdefault(a, set()).add(b)
            table.setdefault(b, set()).add(a)
    return table


def _sets() -> dict[str, set[str]]:
    table: dict[str, set[str]] = {}
    for name, members in SETS.items():
        for member in members.split():
            table.setdefault(stem(member), set()).add(name)
    return table


_KEYS = _keys()
_OPPOSITES = _opposites()
_SETS = _sets()
_FRAME = frozenset(stem(word) for word in FRAME)


def _positive(root: str) -> str:
    """Return the adjective of a comparative that has an opposite: "taller" is "tall", but "offer" not "off"."""
    if not root.endswith("er") or root in _OPPOSITES or root in _KEYS:
        return root
    for base in (root[:-2], root[:-3]):
        if len(base) > 2 and base in _OPPOSITES and base not in PARTICLES:
            return base
    return root


def _roots(word: str) -> set[str]:
    without = {word[len(prefix) :] for prefix in PREFIXES if word.startswith(prefix)}
    without |= {word[: -len(suffix)] for suffix in SUFFIXES if word.endswith(suffix)}
    return without - {""} | {word}


@lru_cache(maxsize=32768)
def look_up(form: str) -> Word:
    """Return what is known of a lower-case word without apostrophes."""
    ordinal = ORDINALS.get(form)
    name = f"#{ordinal}" if ordinal else MONTH_WORDS.get(form) or WEEKDAYS.get(form) or form
    root = _positive(stem(name))
    key = _KEYS.get(root, root)
    function, frame = name in FUNCTION, name in FRAME or root in _FRAME
    sets = frozenset(_SETS.get(root) or _SETS.get(key) or ())
    opposites = frozenset(_OPPOSITES.get(key, ()))
    is_open = not function and not frame and not ordinal
    number = NUMBER_WORDS.get(form)
    return Word(
        form=form,
        stem=root,
        key=key,
        open=is_open,
        frame=frame,
        negates=form in NEGATORS,
        sets=sets,
        named=not sets.isdisjoint(NAMED),
        opposites=opposites,
        number=number,
        tells=is_open or bool(opposites) or bool(sets),
        plain=number is None
        and not ordinal
        and form not in NEGATORS
        and form not in UNITS
        and form not in COUNTED
        and form not in SCALES
        and form != "yet",
        picks=PICKS.get(form, ""),
        role=FROM if form in SOURCE else TO if form in TARGET else 0,
        roots=tuple(_roots(form) | _roots(root)),
    )
