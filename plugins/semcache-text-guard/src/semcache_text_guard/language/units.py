"""Units, money and spelled numbers of English, as tables by name."""

from __future__ import annotations

from .english import ENGLISH

_UNITS = ENGLISH.units
# Names with these endings have no plural in "-s".
_NO_PLURAL = ("s", "ies", "feet", "hertz", "per hour", "per second")


def _plurals(name: str) -> tuple[str, ...]:
    """Return a name and its plural; in a name, "_" is a space."""
    name = name.replace("_", " ")
    return (name,) if len(name) < 4 or name.endswith(_NO_PLURAL) else (name, name + "s")


ONES = {word: value for value, word in enumerate(_UNITS.words("ones"))}
TENS = {word: 10 * value for value, word in enumerate(_UNITS.words("tens"), start=2)}
NUMBER_WORDS: dict[str, int] = ONES | TENS | {word: value for value, word in enumerate(_UNITS.words("times"), start=1)}
ORDINALS: dict[str, int] = {word: value for value, word in enumerate(_UNITS.words("ordinals"), start=1)}
SCALES: dict[str, int] = _UNITS.table["scales"]
CURRENCY_CODES = frozenset(_UNITS.words("currency_codes"))
CURRENCY_NAMES: dict[str, str] = {
    name.replace("_", " "): code for code, names in _UNITS.lists("currencies").items() for name in names
}

# Roman numerals as chapters, kings and wars have them. "I", "V" and "X" are words or letters more often.
ROMAN: dict[str, int] = {
    tens + ones: 10 * len(tens) + value
    for tens in ("", "x", "xx")
    for value, ones in enumerate(("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix"), start=1)
    if len(tens + ones) > 1
}


def _units() -> dict[str, tuple[str, float]]:
    """Return the dimension and the factor of every unit by its names; each currency is a separate dimension."""
    table = {
        each: (dimension, float(factor))
        for dimension, units in _UNITS.table["units"].items()
        for names, factor in units.items()
        for name in names.split()
        for each in _plurals(name)
    }
    money = {code: (code.upper(), 1.0) for code in CURRENCY_CODES}
    named = {each: (code, 1.0) for name, code in CURRENCY_NAMES.items() for each in _plurals(name)}
    return table | named | money


UNITS: dict[str, tuple[str, float]] = _units()
