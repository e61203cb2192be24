"""What holds on a route: the longest path that fits counts, and every mistake says where it stands."""

from __future__ import annotations

import time

import pytest

from semcache_core.authoring.patterns import LONGEST_REPEAT, MOST_STEPS, bounded_pattern
from semcache_core.authoring.rules import Rewrites, RouteTable, drop, parse_paths
from semcache_core.errors import ConfigError
from semcache_core.settings import Normalise

TABLE = RouteTable([("/ask", "short"), ("/v1/ask", "long")], otherwise="none")


@pytest.mark.parametrize(
    ("path", "holds"),
    [
        (b"/ask", "short"),
        (b"/x/ask", "short"),
        (b"/v1/ask", "long"),
        (b"/api/v1/ask", "long"),
        (b"/v1/ask/", "none"),
        (b"", "none"),
    ],
)
def test_the_longest_route_that_a_path_ends_in_holds(path: bytes, holds: str) -> None:
    assert TABLE.of(path) == holds


def test_a_route_is_found_by_its_name() -> None:
    assert [TABLE.named(name) for name in ("/ask", "/v1/ask", "/other", "")] == ["short", "long", "none", "none"]


def test_a_path_that_cannot_be_read_is_told_with_its_place() -> None:
    assert parse_paths(("a", "$.b[0]"), place="route[0].json.ignore") == (("a",), ("b", 0))
    with pytest.raises(ConfigError, match=r"^route\[0\]\.json\.ignore\[1\]: the JSON path"):
        parse_paths(("a", "$["), place="route[0].json.ignore")


def test_members_are_dropped_wherever_a_path_leads() -> None:
    root = [{"a": 1, "b": [{"c": 1, "d": 2}, {"c": 3}], "e": ["x"]}]
    drop(root, parse_paths(("a", "$.b[*].c", "$.e[0]", "$.nowhere"), place="ignore"))
    assert root == [{"b": [{"d": 2}, {}], "e": ["x"]}], "an element of a list stays: the others would move"


def test_rewrites_touch_texts_only_and_say_whether_there_are_any() -> None:
    rewrites = Rewrites([Normalise(path="$.m[*]", pattern=r"\d+", replace="N")])
    root = [{"m": ["on 12 May", 12, None]}]
    rewrites.apply(root)
    assert root == [{"m": ["on N May", 12, None]}]
    assert rewrites
    assert not Rewrites()


# -- the work of patterns ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+)+$",
        r"(?:a*)*b",
        r"(a|aa){1,40}$",
        r"(?:(?:a?){9}){9}b",
        r"(?=(a+)+b)c",
        r".*x.*y",
        r"(\w+\s?)+:",
        r"\s*\s*\s*x",
    ],
)
def test_a_pattern_that_could_take_long_is_refused_at_start(pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"could take too long.*\{1,2\}"):
        Rewrites([Normalise(path="$.m", pattern=pattern)])


def test_a_pattern_that_refers_to_a_group_is_refused_at_start() -> None:
    with pytest.raises(ConfigError, match="reference to a group"):
        Rewrites([Normalise(path="$.m", pattern=r"(['\"])x\1")])


@pytest.mark.parametrize(
    ("pattern", "text", "left"),
    [
        (r"\d{4}-\d\d-\d\d", "on 2026-11-30.", "on ."),
        (r"Today's date: .*", "a\nToday's date: Mon Nov 30 2026\nb", "a\n\nb"),
        (r"\d+", "in 12 of 300", "in  of "),
        (r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) \w{3} \d{1,2} \d{4}", "it is Mon Nov 30 2026", "it is "),
        (r"\d{1,2}:\d{2}(:\d{2})?\s*(AM|PM)?", "at 12:30 PM and 9:05:01", "at  and "),
        (r"(?i)session-[a-z0-9]{6,40}", "Session-abc123def!", "!"),
        (r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "id 01234567-89ab-cdef-0123-456789abcdef", "id "),
        (r"[*+]+\*", "a **+* b", "a  b"),
        (r"[]*]{2,}", "a ]*] b", "a  b"),
        (r"\w++x?", "ab c", " "),
    ],
)
def test_usual_patterns_do_as_they_say(pattern: str, text: str, left: str) -> None:
    root = [{"m": text}]
    Rewrites([Normalise(path="$.m", pattern=pattern)]).apply(root)
    assert root == [{"m": left}]


def test_a_repeat_without_a_bound_ends_after_some_characters() -> None:
    root = [{"m": "x: " + "a" * (LONGEST_REPEAT + 5)}]
    Rewrites([Normalise(path="$.m", pattern="x: .*")]).apply(root)
    assert root == [{"m": "a" * 5}]


def test_the_work_for_one_request_is_bounded_however_many_texts_it_has() -> None:
    costly = bounded_pattern(r"a*b")
    assert 256 < costly.steps < MOST_STEPS
    rewrites = Rewrites([Normalise(path="$.m[*]", pattern=r"a*b", replace="-")])
    short = [{"m": ["aab"] * 1000}]
    rewrites.apply(short)
    assert short == [{"m": ["-"] * 1000}]
    hostile = [{"m": ["a" * 4000] * 500}]
    began = time.perf_counter()
    rewrites.apply(hostile)
    assert time.perf_counter() - began < 1.0
