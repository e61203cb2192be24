"""Keys of a generic JSON API, on the paths that the configuration names and on no others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

from msgspec import Meta

from semcache_core.authoring.json_form import SLOT, Ambiguous, check_names, folded, in_order, parse, seal, sorted_names
from semcache_core.authoring.json_paths import parse_path, spots
from semcache_core.authoring.rules import Rules, drop
from semcache_core.extractors.json_answers import JsonAnswers
from semcache_core.protocols import Options
from semcache_core.settings import Normalise, RouteOptions
from semcache_core.types import API, Bypass, Key, Request

__all__ = ["JsonBody", "JsonOptions"]

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


class JsonBody(JsonAnswers):
    """The ``json`` key extractor: POST with a JSON body, and GET, which only matches exactly."""

    Options = JsonOptions
    traits = API

    def __init__(self, options: JsonOptions | None = None) -> None:
        self._options = options or JsonOptions()
        self._text = None if self._options.text is None else parse_path(self._options.text)
        self._ignore = tuple(parse_path(path) for path in self._options.ignore)
        self.follow((), ())

    @property
    def options(self) -> JsonOptions:
        """What this extractor was made with."""
        return self._options

    def follow(self, routes: Sequence[RouteOptions], normalise: Sequence[Normalise]) -> None:
        """Claim the paths of ``routes`` and rewrite keys by ``normalise``. Raises ConfigError."""
        own = [RouteOptions(path=path) for path in self._options.paths]
        self._rules = Rules((*routes, *own), normalise)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Nothing to close."""

    def claims(self, method: str, path: bytes) -> bool:
        """Say whether a route names this path with this method."""
        route = self._rules.route(path)
        return route is not None and method in route.methods

    def extract(self, request: Request) -> Key | Bypass | None:
        """Return the key of a request; Bypass for a body that is not JSON, or that two parsers may read differently."""
        route = self._rules.route(request.path)
        if route is None or request.method not in route.methods:
            return None
        if request.method == "GET":
            return Bypass(reason="get-with-body") if request.body else _GET
        try:
            root = [parse(request.body)]
            self._rules.rewrite(root)
            drop(root, (*self._ignore, *route.ignore))
            slot = self._take_text(root, self._text if route.text is None else route.text)
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
    """Sort the top level; what lies deeper keeps its order, because nobody said that it means nothing."""
    if type(body) is not dict:
        return in_order(body)
    return sorted_names({name: seal(value) if type(value) in (dict, list) else value for name, value in body.items()})
