"""Generated ids, units, dates and names: a swap is always rejected, another way of writing never is."""

from __future__ import annotations

import datetime
import string

from hypothesis import assume, given
from hypothesis import strategies as st

from semcache_core.types import Accept, Reject, Verdict
from semcache_text_guard.compare import compare

FRAMES = st.sampled_from(
    [
        "What is the status of {}?",
        "Please tell me more about {} in two sentences.",
        "I need the report for {} as a table",
        "how do i get {} without calling support",
        "Is {} covered by my contract, and who pays?",
    ]
)
IDS = st.from_regex(r"\A[A-Z]{1,2}-?[0-9]{3,7}\Z|\A[A-Z][0-9]{2,4}[A-Z]{2}\Z|\A[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}\Z")
NUMBERS = st.integers(min_value=2, max_value=10**12)
NAMES = st.text(string.ascii_lowercase, min_size=4, max_size=10).map(str.capitalize)
DATES = st.dates(min_value=datetime.date(1900, 1, 1), max_value=datetime.date(2100, 12, 31))
TIMES = st.times().map(lambda t: t.replace(second=0, microsecond=0))
UNITS = st.sampled_from(
    [
        ("g", "grams"),
        ("kg", "kilograms"),
        ("mg", "milligrams"),
        ("km", "kilometers"),
        ("cm", "centimetres"),
        ("ml", "milliliters"),
        ("GB", "gigabytes"),
        ("ms", "milliseconds"),
        ("%", "percent"),
        ("°C", "degrees Celsius"),
        ("USD", "dollars"),
        ("EUR", "euros"),
        ("hours", "hrs"),
    ]
)


def accepted(verdict: Verdict) -> bool:
    return isinstance(verdict, Accept)


@given(FRAMES, IDS, IDS)
def test_another_id_is_rejected(frame: str, one: str, other: str) -> None:
    assume(one.replace("-", "").lower() != other.replace("-", "").lower())
    assert isinstance(compare(frame.format(one), frame.format(other)), Reject)


@given(FRAMES, NUMBERS, NUMBERS)
def test_another_number_is_rejected(frame: str, one: int, other: int) -> None:
    assume(one != other)
    assert isinstance(compare(frame.format(one), frame.format(other)), Reject)


@given(FRAMES, NUMBERS, UNITS, UNITS)
def test_another_unit_is_rejected(frame: str, number: int, one: tuple[str, str], other: tuple[str, str]) -> None:
    assume(one != other)
    assert isinstance(compare(frame.format(f"{number} {one[0]}"), frame.format(f"{number} {other[1]}")), Reject)


@given(FRAMES, DATES, DATES)
def test_another_date_is_rejected(frame: str, one: datetime.date, other: datetime.date) -> None:
    assume(one != other)
    assert isinstance(
        compare(frame.format(one.isoformat()), frame.format(f"{other:%B} {other.day}, {other.year}")), Reject
    )


@given(FRAMES, TIMES, TIMES)
def test_another_time_is_rejected(frame: str, one: datetime.time, other: datetime.time) -> None:
    assume(one != other)
    assert isinstance(compare(frame.format(f"{one:%H:%M}"), frame.format(f"{other:%I:%M %p}")), Reject)


@given(NAMES, NAMES)
def test_another_proper_name_is_rejected(one: str, other: str) -> None:
    assume(one[:3] != other[:3])
    frame = "Who is the founder of Xq{} and when did it open?"
    assert isinstance(compare(frame.format(one.lower()), frame.format(other.lower())), Reject)


@given(NAMES, NAMES)
def test_exchanged_ends_of_a_way_are_rejected(one: str, other: str) -> None:
    assume(one != other)
    one, other = "Xq" + one.lower(), "Zv" + other.lower()
    there = compare(
        f"Find me a train from {one} to {other} on Monday", f"Find me a train from {other} to {one} on Monday"
    )
    assert there == Reject(reason="direction", certain=True)


@given(FRAMES, NUMBERS, UNITS)
def test_a_unit_may_be_written_out(frame: str, number: int, unit: tuple[str, str]) -> None:
    assert accepted(compare(frame.format(f"{number} {unit[0]}"), frame.format(f"{number} {unit[1]}")))


@given(FRAMES, st.integers(min_value=1000, max_value=10**12))
def test_thousands_may_be_grouped(frame: str, number: int) -> None:
    assert accepted(compare(frame.format(number), frame.format(f"{number:,}")))


@given(FRAMES, DATES)
def test_a_date_may_be_written_in_any_order(frame: str, day: datetime.date) -> None:
    written = [day.isoformat(), f"{day:%B} {day.day}, {day.year}", f"{day.day} {day:%b} {day.year}", f"{day:%Y/%m/%d}"]
    assert all(accepted(compare(frame.format(one), frame.format(other))) for one in written for other in written)


@given(FRAMES, TIMES)
def test_a_time_may_have_12_or_24_hours(frame: str, time: datetime.time) -> None:
    twelve = f"{time:%I:%M}".lstrip("0") + ("pm" if time.hour >= 12 else "am")
    assert accepted(compare(frame.format(f"{time:%H:%M}"), frame.format(twelve)))


@given(FRAMES, IDS)
def test_case_and_white_space_mean_nothing(frame: str, name: str) -> None:
    text = frame.format(name)
    assert accepted(compare(text, "  " + text.lower().replace(" ", "  ") + "\n"))


@given(st.text(), st.text())
def test_any_two_texts_compare_the_same_both_ways(one: str, other: str) -> None:
    assert compare(one, other) == compare(other, one)


ITEMS = r"""not never no 3 5 mg 5mg 1,000 three hundred and half 3pm at May 1 2024 2024-05-01 from Oslo to Lima than
    Paris 'x "y" `z` http://a.b @ a@b.co - -- + 2+2 US IT Go vitamin C isn't can't one two first enable disable up down
    every all this next last devices device of my husband husband's parents when where how many can must should I do who
    always right wrong ٣ ½ ² ① é 서울 北京 C++ v1.2 1.2.3 B-12 b_c f() /etc/x ? . !
    close shut near nearby pay salary fast quick quicker"""
TOKENS = st.sampled_from([*ITEMS.split(), "\ud800", "\x00", "\ue000", "\u0130"])


@given(st.lists(TOKENS, max_size=12).map(" ".join), st.lists(TOKENS, max_size=12).map(" ".join))
def test_any_mixture_of_items_compares_the_same_both_ways(one: str, other: str) -> None:
    assert compare(one, other) == compare(other, one)


@given(st.lists(st.sampled_from(["nine", "hundred", "million", "and", "7"]), max_size=300).map(" ".join))
def test_no_spelled_number_is_too_large(text: str) -> None:
    assert accepted(compare(text, text + " "))


@given(st.lists(TOKENS, max_size=12).map("".join))
def test_a_text_answers_itself(text: str) -> None:
    assert accepted(compare(text, text + " "))
