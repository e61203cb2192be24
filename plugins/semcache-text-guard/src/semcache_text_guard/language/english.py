"""English: the lists of ``data/en`` under the names that the rules use. Loaded once, at import."""

from __future__ import annotations

from importlib.resources import files

from .loader import load

ENGLISH = load(files("semcache_text_guard") / "data" / "en")
"""All of it; the names below are views of it."""

stem = ENGLISH.stem


def _words(key: str) -> frozenset[str]:
    return frozenset(ENGLISH.words.words(key))


def _pairs(key: str) -> tuple[tuple[str, str], ...]:
    return tuple((left, right) for left, _, right in (each.partition("/") for each in ENGLISH.words.words(key)))


FUNCTION = _words("function")
FRAME = _words("frame")
NEGATORS = _words("negators")
SYMMETRIC = _words("symmetric")
SOURCE, TARGET = _words("source"), _words("target")
COUNTED = _words("counted")
HEDGES = _words("hedges")
VERB_BEFORE = _words("verb_before")
AUXILIARIES = _words("auxiliaries")
OPENING_VERBS = AUXILIARIES | _words("opening_verbs")
QUESTION_WORDS = _words("question_words")
WH_WORDS = QUESTION_WORDS | _words("wh_words")
NO_ADVERBS = _words("no_adverbs")
PARTICLES = _words("particles")
PREPOSITIONS = _words("prepositions")
ENDINGS = _words("endings") | {""}
BOUNDING = _words("bounding")
ONE_UNIT = _words("one_unit")
AFTER_PRONOUN = _words("after_pronoun") | ENGLISH.stem.irregular.keys()
WAY_AFTER_HOW = _words("way_after_how")
NEGATIVE_PREFIXES = _words("negative_prefixes")
PREFIX_PAIRS, SUFFIX_PAIRS = _pairs("prefix_pairs"), _pairs("suffix_pairs")
PREFIXES = NEGATIVE_PREFIXES | {prefix for pair in PREFIX_PAIRS for prefix in pair}
SUFFIXES = frozenset(suffix for pair in SUFFIX_PAIRS for suffix in pair)
PICKS = {form: picked for picked, forms in ENGLISH.words.lists("picks").items() for form in forms}
MEASURES = {adjective: noun for adjective, (noun,) in ENGLISH.words.lists("measures").items()}
MEASURED = frozenset(MEASURES.values())
"""The quantity that a measure phrase asks for: "how long" is read as "what length"."""

MONTHS = {
    name: number
    for number, (month, short) in enumerate(ENGLISH.words.lists("months").items(), start=1)
    for name in (month, *short)
}
# A bare short or ambiguous name ("may", "march", "mar", "jan") alone is not a month.
MONTH_WORDS = {name: f"month{n}" for name, n in MONTHS.items() if len(name) > 3 and name != "march"}
WEEKDAYS = {name: day for day, short in ENGLISH.words.lists("weekdays").items() for name in (day, *short)}
