"""What holds on a route: the longest path that fits counts, and every mistake says where it stands."""

from __future__ import annotations

import pytest

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
