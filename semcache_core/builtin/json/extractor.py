"""Keys of an ordinary JSON API, on the configured paths only."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta, structs

from semcache_core.authoring.json_form import SLOT, Ambiguous, check_names, folded, in_order, parse, seal, sorted_names
from semcache_core.authoring.json_paths import Path, parse_path, spots
from semcache_core.authoring.rules import Rewrites, RouteTable, drop, parse_paths
from semcache_core.builtin.json.answers import JsonAnswers
from semcache_core.errors import ConfigError
from semcache_core.protocols import ExtractorRoute, Options
from semcache_core.settings import Normalise
from semcache_core.types import API, Bypass, Key, Request

__all__ = ["JsonBody", "JsonOptions", "JsonRoute"]

_TEXT_NAMES = ("query", "prompt", "input", "question")
_GET = Key(template=b"GET", exact_only="get")


class JsonOptions(Options, frozen=True):
    """``[key_extractors] json = {...}``."""

    text: Annotated[
        str | None,
        Meta(description="JSON path of the text to compare; else the first of query, prompt, input, question."),
    ] = None
    ignore: Annotated[tuple[str, ...], Meta(description="Members (names or JSON paths) that never split keys.")] = ()
    paths: Annotated[
        tuple[Annotated[str, Meta(pattern="^/")], ...],
        Meta(description="Path suffixes to claim with POST, besides those of routes."),
    ] = ()


class JsonRoute(Options, frozen=True):
    """``[[route]] json = {...}``: an absent option defaults to the component's option."""

    text: Annotated[str | None, Meta(description="JSON path of the text that may be worded differently.")] = None
    ignore: Annotated[tuple[str, ...], Meta(description="Further members that never split keys here.")] = ()
    methods: Annotated[
        tuple[Annotated[str, Meta(pattern="^[A-Z]+$")], ...],
        Meta(min_length=1, description="The methods to claim on this path, in capitals."),
    ] = ("POST",)


class _Claim(msgspec.Struct, frozen=True):
    methods: frozenset[str]
    text: Path | None
    ignore: tuple[Path, ...]


class JsonBody(JsonAnswers):
    """The ``json`` key extractor: POST with a JSON body, and GET, which only matches exactly."""

    Options = JsonOptions
    RouteOptions = JsonRoute
    traits = API

    def __init__(self, options: JsonOptions | None = None) -> None:
        self._options = options or JsonOptions()
        self._text = None if self._options.text is None else parse_path(self._options.text)
        self._ignore = parse_paths(self._options.ignore, place="ignore")
        self.follow((), ())

    def follow(self, routes: Sequence[ExtractorRoute], normalise: Sequence[Normalise]) -> None:
        """Claim the paths of ``routes`` and rewrite keys by ``normalise``. Raises ConfigError."""
        own = {path: self._claim(("POST",)) for path in self._options.paths}
        self._followed = own | {route.path: self._claim_of(route) for route in routes}
        self._claims: RouteTable[_Claim | None] = RouteTable(self._followed.items(), otherwise=None)
        self._rewrites = Rewrites(normalise)

    def with_paths(self, paths: Sequence[str], methods: Sequence[str]) -> Self:
        """Return an extractor that also claims ``methods`` on ``paths``, as if each were a route."""
        extended = copy(self)
        # A path with a route keeps the route's options.
        added = {path: self._claim(methods, like=self._followed.get(path)) for path in paths}
        extended._followed = self._followed | added
        extended._claims = RouteTable(extended._followed.items(), otherwise=None)
        return extended

    def _claim(self, methods: Sequence[str], like: _Claim | None = None) -> _Claim:
        if like is not None:
            return structs.replace(like, methods=like.methods | frozenset(methods))
        return _Claim(methods=frozenset(methods), text=self._text, ignore=self._ignore)

    def _claim_of(self, route: ExtractorRoute) -> _Claim:
        own = JsonRoute() if route.options is None else route.options
        try:
            text = self._text if own.text is None else parse_path(own.text)
        except ConfigError as error:
            raise ConfigError(f"{route.place}.text: {error}") from None
        ignore = self._ignore + parse_paths(own.ignore, place=f"{route.place}.ignore")
        return _Claim(methods=frozenset(own.methods), text=text, ignore=ignore)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close nothing."""

    def claims(self, method: str, path: bytes) -> bool:
        """Say whether a route has this path and this method."""
        claim = self._claims.of(path)
        return claim is not None and method in claim.methods

    def extract(self, request: Request) -> Key | Bypass | None:
        """Return the key of a request; Bypass for a body that is not JSON, or that two parsers may read differently."""
        claim = self._claims.of(request.path)
        if claim is None or request.method not in claim.methods:
            return None
        if request.method == "GET":
            return Bypass(reason="get-with-body") if request.body else _GET
        try:
            root = [parse(request.body)]
            self._rewrites.apply(root)
            drop(root, claim.ignore)
            slot = self._take_text(root, claim.text)
        except Ambiguous as ambiguous:
            return Bypass(reason=ambiguous.reason)
        template = request.method.encode() + b" " + _canonical(root[0])
        return Key(template=template, slot=slot, exact_only=None if slot else "no-text")

    @staticmethod
    def _take_text(root: list[Any], path: Any) -> tuple[str, ...]:
        body = root[0]
        if path is not None:
            places = spots(root, path)
        elif type(body) is dict:
            check_names(body, folded(_TEXT_NAMES))
            places = [(body, name) for name in _TEXT_NAMES if type(body.get(name)) is str][:1]
        else:
            places = []
        slot = tuple(container[key] for container, key in places if type(container[key]) is str)
        if not slot or len(slot) != len(places):
            return ()
        for container, key in places:
            container[key] = SLOT
        return slot


def _canonical(body: Any) -> bytes:
    """Sort the top level only: deeper down, the order of names may have a meaning."""
    if type(body) is not dict:
        return in_order(body)
    return sorted_names({name: seal(value) if type(value) in (dict, list) else value for name, value in body.items()})
