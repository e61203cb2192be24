"""What the configuration says about keys: what each route wants, members to ignore, spans to rewrite in the key's copy.

A body to work on is the only item of a list, ``root``, so that the path ``$`` has a place, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from semcache_core.authoring.json_paths import Path, parse_path, spots
from semcache_core.errors import ConfigError
from semcache_core.settings import Normalise

__all__ = ["Rewrites", "RouteTable", "drop", "parse_paths"]

T = TypeVar("T")


class RouteTable(Generic[T]):
    """What holds on each route, by its path. ``otherwise`` holds where no route does."""

    def __init__(self, routes: Iterable[tuple[str, T]], *, otherwise: T) -> None:
        self._by_name = dict(routes)
        longest_first = sorted(self._by_name.items(), key=lambda route: -len(route[0]))
        self._by_suffix = tuple((path.encode(), wanted) for path, wanted in longest_first)
        self._otherwise = otherwise

    def of(self, path: bytes) -> T:
        """Return what holds for a request's raw path: what the longest route path that it ends in says."""
        for suffix, wanted in self._by_suffix:
            if path.endswith(suffix):
                return wanted
        return self._otherwise

    def named(self, route: str) -> T:
        """Return what holds on the route with this path, as ``Policy.route`` has it; "" is no route."""
        return self._by_name.get(route, self._otherwise)


class Rewrites:
    """The ``[[normalise]]`` rules. Raises ConfigError for what it cannot read."""

    def __init__(self, rules: Sequence[Normalise] = ()) -> None:
        self._rewrites = tuple(_read_rewrite(rule) for rule in rules)

    def __bool__(self) -> bool:
        return bool(self._rewrites)

    def apply(self, root: list[Any]) -> None:
        """Rewrite the spans in a decoded body. Raises Ambiguous."""
        for rule in self._rewrites:
            for container, key in spots(root, rule.path):
                if type(container[key]) is str:
                    container[key] = rule.pattern.sub(rule.replace, container[key])


def drop(root: list[Any], paths: Sequence[Path]) -> None:
    """Take ignored members out of a decoded body. Raises Ambiguous."""
    for path in paths:
        for container, key in reversed(spots(root, path)):
            if type(container) is dict:
                del container[key]


def parse_paths(texts: Sequence[str], *, place: str) -> tuple[Path, ...]:
    """Return the steps of each JSON path. Raises ConfigError, which names the ``place`` that the paths come from."""
    paths = []
    for at, text in enumerate(texts):
        try:
            paths.append(parse_path(text))
        except ConfigError as error:
            raise ConfigError(f"{place}[{at}]: {error}") from None
    return tuple(paths)


class _Rewrite(msgspec.Struct, frozen=True):
    path: Path
    pattern: re.Pattern[str]
    replace: str


def _read_rewrite(rule: Normalise) -> _Rewrite:
    try:
        pattern = re.compile(rule.pattern)
        pattern.sub(rule.replace, "")
        re.compile(f"(?:{rule.pattern})|").sub(rule.replace, "")
    except (re.error, IndexError) as error:
        raise ConfigError(
            f"[[normalise]]: the pattern {rule.pattern!r} with replace {rule.replace!r}: {error}"
        ) from error
    return _Rewrite(path=parse_path(rule.path), pattern=pattern, replace=rule.replace)
