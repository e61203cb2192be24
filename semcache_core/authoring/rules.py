"""The configuration's rules for keys: per-route values, ignored members, spans to rewrite in the key's copy.

A body to work on is the only item of a list, ``root``, so that the path ``$`` has a place, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from semcache_core.authoring.json_paths import Path, parse_path, spots
from semcache_core.authoring.patterns import BoundedPattern, bounded_pattern
from semcache_core.errors import ConfigError
from semcache_core.settings import Normalise

__all__ = ["Rewrites", "RouteTable", "drop", "parse_paths"]

T = TypeVar("T")

_STEPS_A_REQUEST = 4_000_000
"""Steps that all patterns together may take over one request: some 40 ms at worst, and far less on usual texts."""


class RouteTable(Generic[T]):
    """A value for each route, by its path; ``otherwise`` applies if no route matches."""

    def __init__(self, routes: Iterable[tuple[str, T]], *, otherwise: T) -> None:
        self._by_name = dict(routes)
        longest_first = sorted(self._by_name.items(), key=lambda route: -len(route[0]))
        self._by_suffix = tuple((path.encode(), wanted) for path, wanted in longest_first)
        self._otherwise = otherwise

    def of(self, path: bytes) -> T:
        """Return the value for a request's raw path: that of the longest route path that is a suffix of it."""
        for suffix, wanted in self._by_suffix:
            if path.endswith(suffix):
                return wanted
        return self._otherwise

    def named(self, route: str) -> T:
        """Return the value of the route with this path, as in ``Policy.route``; "" is no route."""
        return self._by_name.get(route, self._otherwise)


class Rewrites:
    """The ``[[normalise]]`` rules. Raises ConfigError for a rule that it cannot read."""

    def __init__(self, rules: Sequence[Normalise] = ()) -> None:
        self._rewrites = tuple(_read_rewrite(rule) for rule in rules)

    def __bool__(self) -> bool:
        return bool(self._rewrites)

    def apply(self, root: list[Any]) -> None:
        """Rewrite the spans in a decoded body. Raises Ambiguous.

        The work for one request is bounded: texts past the bound stay as they are, and match only their like.
        """
        left = _STEPS_A_REQUEST
        for rule in self._rewrites:
            for container, key in spots(root, rule.path):
                if type(container[key]) is str:
                    left -= len(container[key]) * rule.pattern.steps
                    if left < 0:
                        return
                    container[key] = rule.pattern.pattern.sub(rule.replace, container[key])


def drop(root: list[Any], paths: Sequence[Path]) -> None:
    """Remove ignored members from a decoded body. Raises Ambiguous."""
    for path in paths:
        for container, key in reversed(spots(root, path)):
            if type(container) is dict:
                del container[key]


def parse_paths(texts: Sequence[str], *, place: str) -> tuple[Path, ...]:
    """Return the steps of each JSON path. Raises ConfigError, which names the ``place`` of the paths."""
    paths = []
    for at, text in enumerate(texts):
        try:
            paths.append(parse_path(text))
        except ConfigError as error:
            raise ConfigError(f"{place}[{at}]: {error}") from None
    return tuple(paths)


class _Rewrite(msgspec.Struct, frozen=True):
    path: Path
    pattern: BoundedPattern
    replace: str


def _read_rewrite(rule: Normalise) -> _Rewrite:
    try:
        pattern = bounded_pattern(rule.pattern)
    except ValueError as error:
        raise ConfigError(f"[[normalise]]: the pattern {rule.pattern!r} {error}") from error
    try:
        pattern.pattern.sub(rule.replace, "")
    except (re.error, IndexError) as error:
        raise ConfigError(
            f"[[normalise]]: the pattern {rule.pattern!r} with replace {rule.replace!r}: {error}"
        ) from error
    return _Rewrite(path=parse_path(rule.path), pattern=pattern, replace=rule.replace)
