"""What the configuration says about keys: members to ignore on a route, spans to rewrite in the key's copy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from semcache_core.authoring.json_paths import Path, parse_path, spots
from semcache_core.errors import ConfigError
from semcache_core.settings import Normalise, RouteOptions

__all__ = ["Rules"]


class _Rewrite(msgspec.Struct, frozen=True):
    path: Path
    pattern: re.Pattern[str]
    replace: str


class _Route(msgspec.Struct, frozen=True):
    suffix: bytes
    methods: frozenset[str]
    text: Path | None
    ignore: tuple[Path, ...]


class Rules:
    """The routes, longest path first, and the rewriting rules. Raises ConfigError for what it cannot read."""

    def __init__(self, routes: Sequence[RouteOptions] = (), normalise: Sequence[Normalise] = ()) -> None:
        longest_first = sorted(routes, key=lambda route: -len(route.path))
        self._routes = tuple(_read_route(route) for route in longest_first)
        self._rewrites = tuple(_read_rewrite(rule) for rule in normalise)

    def route(self, path: bytes) -> _Route | None:
        """Return the route of a raw path: the one with the longest path that it ends in."""
        for route in self._routes:
            if path.endswith(route.suffix):
                return route
        return None

    def rewrite(self, root: list[Any]) -> None:
        """Rewrite the spans in a decoded body, which stands alone in ``root``. Raises Ambiguous."""
        for rule in self._rewrites:
            for container, key in spots(root, rule.path):
                if type(container[key]) is str:
                    container[key] = rule.pattern.sub(rule.replace, container[key])


def drop(root: list[Any], paths: Sequence[Path]) -> None:
    """Take ignored members out of a decoded body, which stands alone in ``root``. Raises Ambiguous."""
    for path in paths:
        for container, key in reversed(spots(root, path)):
            if type(container) is dict:
                del container[key]


def _read_route(route: RouteOptions) -> _Route:
    return _Route(
        suffix=route.path.encode(),
        methods=frozenset(route.methods),
        text=None if route.text is None else parse_path(route.text),
        ignore=tuple(parse_path(path) for path in route.ignore),
    )


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
