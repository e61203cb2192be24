"""One spelling for every number, quantity, date and time."""

from __future__ import annotations

import re

import msgspec

from semcache_core.types import Quiet
from semcache_text_guard.language.english import MONTHS
from semcache_text_guard.language.units import SCALES, UNITS


class Literal(Quiet, msgspec.Struct, frozen=True, gc=False):
    """One found item: ``kind`` is the reason code of a difference, ``key`` the normalised spelling.

    A quantity also has its bare ``value``, so that "30" may match "30 years" but "30 mg" not "30 g". A soft one ("two",
    "an hour") may be absent from the other text, but not be another number there. ``other`` is the key of a second
    meaning: "10 pounds" may be 10 lb or £10.
    """

    kind: str
    key: str
    value: str = ""
    soft: bool = False
    other: str = ""


_BITS = {"Kb": "kilobit", "Mb": "megabit", "Gb": "gigabit", "Tb": "terabit"}
_POUND = UNITS["lb"][1]
_DIGITS = re.compile(r"\d+")


def plain(value: float) -> str:
    return format(value, ".12g")


def quantity(
    digits: str, *, negative: bool, scale: str | None, unit: str | None, money: str | None, soft: bool = False
) -> Literal:
    """Return the literal of a number as written, with its context."""
    digits = digits.replace(",", "").replace("_", "").replace(" ", "")
    if not (scale or unit or money):
        # Without a unit it may be a code, a version or a year: 007 is not 7 and 3.10 is not 3.1.
        if digits.startswith("."):
            digits = "0" + digits
        value = "-" + digits if negative else digits
        return Literal("numbers", value, value, soft)
    if money and unit and unit.lower() == "m":  # €2m
        scale, unit = "million", None
    if len(digits) > 15:
        return Literal("numbers", digits + (scale or "") + (unit or "") + (money or ""), digits)
    amount = float(digits) * SCALES.get((scale or "").lower(), 1)
    if negative:
        amount = -amount
    value = plain(amount)
    name = _unit_name(unit) if unit else money
    dimension, factor = UNITS[name.lower()] if name else ("", 1.0)
    if not dimension:
        return Literal("numbers", value, value, soft)
    other = f"{plain(amount * _POUND)} mass" if name and name.lower() in ("pound", "pounds") else ""
    return Literal("units", f"{plain(amount * factor)} {dimension}", value, soft, other)


def _unit_name(unit: str) -> str:
    if unit in _BITS:  # the case distinguishes bits from bytes (IEC 80000-13)
        return _BITS[unit]
    unit = unit.lower()
    if unit == "per cent":
        return "%"
    if unit in ("c", "f") or (unit.startswith(("degree", "°")) and unit[-1] in "cf"):  # 200C, 200 °C
        return "celsius" if unit[-1] == "c" else "fahrenheit"
    if unit.startswith(("degree", "°")) and " " in unit:
        return unit.split()[-1]
    return unit


def date(kind: str, text: str) -> Literal:
    """Return the literal of a date; a figure-only date that reads two ways equals only itself."""
    numbers = [int(n) for n in _DIGITS.findall(text)]
    if kind == "iso":
        return _date(numbers[0], numbers[1], numbers[2])
    if kind == "dmy":
        first, second, year = numbers
        if first > 12 >= second:
            return _date(year, second, first)
        if second > 12 >= first or first == second:
            return _date(year, first, second)
        return Literal("dates", f"{year} ?{first}?{second}")
    month = next(MONTHS[word] for word in re.findall(r"[a-z]+", text.lower()) if word in MONTHS)
    if kind == "my":
        return Literal("dates", f"{numbers[0]}-{month:02}")
    return _date(numbers[1] if len(numbers) > 1 else None, month, numbers[0])


def _date(year: int | None, month: int, day: int) -> Literal:
    return Literal("dates", f"{'' if year is None else year}-{month:02}-{day:02}")


def clock(text: str) -> Literal:
    """Return the literal of a time of day: 3pm = 3 p.m. = 3:00 PM = 15:00 (= 15:00:00)."""
    numbers = [int(n) for n in _DIGITS.findall(text)]
    hour, minute, second = [*numbers, 0, 0][:3]
    half = text.lower().rstrip(".m ")[-1:]
    if half == "p" and hour < 12:
        hour += 12
    elif half == "a" and hour == 12:
        hour = 0
    return Literal("dates", f"{hour:02}:{minute:02}:{second:02}")
