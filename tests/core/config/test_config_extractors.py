"""Which key extractors a configuration chooses, and what its routes say to them."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Annotated, Any, ClassVar, Self

import pytest
from msgspec import Meta

from semcache_core.builtin import plugin as builtin
from semcache_core.config import load
from semcache_core.errors import ConfigError
from semcache_core.plugin import Component, hookimpl
from semcache_core.protocols import ExtractorRoute, Options
from semcache_core.runtime.assembly import Components, assemble
from semcache_core.runtime.registry import Registry
from semcache_core.settings import Normalise
from semcache_core.types import API, Bypass, Key, Request, Traits

MEMORY: dict[str, Any] = {
    "semcache": {"match": "exact"},
    "vector_store": {"use": "memory"},
    "response_store": {"use": "memory"},
}


class SpokenRoute(Options, frozen=True):
    accent: Annotated[str, Meta(description="How it is spoken.")] = "none"
    speed: Annotated[int, Meta(ge=1, description="Words a second.")] = 1


class Spoken:
    """Claims ``POST .../spoken`` and keeps what routes say to it."""

    Options = Options
    RouteOptions: ClassVar[type[Options]] = SpokenRoute
    traits: Traits = API
    claimed: Sequence[tuple[str, bytes]] = (("POST", b"/v1/spoken"),)

    def __init__(self, options: Options) -> None:
        self.routes: Sequence[ExtractorRoute] = ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def follow(self, routes: Sequence[ExtractorRoute], normalise: Sequence[Normalise]) -> None:
        self.routes = routes

    def claims(self, method: str, path: bytes) -> bool:
        return method == "POST" and path.endswith(b"/spoken")

    def extract(self, request: Request) -> Key | Bypass | None:
        return Key(template=request.body)


class Sung(Spoken):
    """Claims ``POST .../sung`` and takes no options of a route."""

    RouteOptions: ClassVar[Any] = None
    claimed = (("POST", b"/v1/sung"),)

    def claims(self, method: str, path: bytes) -> bool:
        return method == "POST" and path.endswith(b"/sung")


class Everything(Spoken):
    """Claims more than it names: whatever is posted."""

    claimed = (("POST", b"/v1/anything"),)

    def claims(self, method: str, path: bytes) -> bool:
        return method == "POST"


class Broken(Spoken):
    def __init__(self, options: Options) -> None:
        raise KeyError("a library is missing")


class Offering:
    """A plugin that offers the extractors it is made with, by name."""

    def __init__(self, **offered: type[Spoken]) -> None:
        self._offered = offered

    @hookimpl
    def semcache_key_extractors(self) -> list[Component]:
        return [Component(name, f"{__name__}:{kind.__name__}") for name, kind in self._offered.items()]


def installed(**distributions: Offering) -> Registry:
    """Return a registry of the core's own components and these distributions'."""
    registry = Registry()
    assert registry.add(builtin, distribution="semcache-core")
    for name, plugin in distributions.items():
        assert registry.add(plugin, distribution=name), registry.failures
    return registry


def made(registry: Registry, **tables: Any) -> Components:
    return assemble(load(MEMORY | tables), registry)


def error(registry: Registry, **tables: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        made(registry, **tables)
    return str(caught.value)


# -- which ------------------------------------------------------------------------------------------------------------


def test_every_installed_extractor_is_in_and_those_of_no_fixed_paths_come_last() -> None:
    components = made(installed(one=Offering(sung=Sung), two=Offering(spoken=Spoken)))
    assert components.extractor_names == ("spoken", "sung", "json")
    assert not components.notices or all("extractor" not in notice for notice in components.notices)


def test_use_replaces_the_installed_ones() -> None:
    components = made(installed(one=Offering(sung=Sung, spoken=Spoken)), key_extractors={"use": ["json", "sung"]})
    assert components.extractor_names == ("json", "sung")


def test_two_that_claim_the_same_requests_are_left_out_and_told() -> None:
    components = made(installed(one=Offering(spoken=Spoken), two=Offering(greedy=Everything, sung=Sung)))
    assert components.extractor_names == ("json",)
    told = [notice for notice in components.notices if "claim the same requests" in notice]
    assert any("'greedy', 'spoken'" in notice and "key_extractors.add" in notice for notice in told)


def test_add_settles_who_of_two_that_overlap_is_in() -> None:
    registry = installed(one=Offering(spoken=Spoken), two=Offering(greedy=Everything))
    assert made(registry, key_extractors={"add": ["spoken"]}).extractor_names == ("spoken", "json")
    assert made(registry, key_extractors={"add": ["greedy"]}).extractor_names == ("greedy", "json")
    both = made(registry, key_extractors={"add": ["spoken", "greedy"]})
    assert both.extractor_names == ("spoken", "greedy", "json"), "who is named stays in, and is asked in that order"


def test_add_comes_on_top_of_use() -> None:
    registry = installed(one=Offering(spoken=Spoken, sung=Sung))
    assert made(registry, key_extractors={"use": ["json"], "add": ["sung"]}).extractor_names == ("json", "sung")


def test_a_name_that_two_distributions_offer_is_left_out_until_one_is_named() -> None:
    registry = installed(one=Offering(spoken=Spoken), two=Offering(spoken=Spoken))
    components = made(registry)
    assert components.extractor_names == ("json",)
    assert any("'one/spoken', 'two/spoken'" in notice for notice in components.notices)
    assert made(registry, key_extractors={"add": ["two/spoken"]}).extractor_names == ("spoken", "json")


def test_an_installed_extractor_that_does_not_work_stops_nobody_unless_it_is_named() -> None:
    registry = installed(one=Offering(broken=Broken))
    components = made(registry)
    assert components.extractor_names == ("json",)
    assert any("left out" in notice and "'broken'" in notice for notice in components.notices)
    with pytest.raises(Exception, match="cannot be made"):
        made(registry, key_extractors={"add": ["broken"]})


def test_an_extractor_that_the_configuration_speaks_to_is_meant() -> None:
    registry = installed(one=Offering(spoken=Spoken), two=Offering(greedy=Everything))
    route = [{"path": "/v1/spoken", "spoken": {"accent": "northern"}}]
    assert made(registry, route=route).extractor_names == ("spoken", "json")
    assert made(registry, key_extractors={"greedy": {}}).extractor_names == ("greedy", "json")
    told = error(registry, route=route, key_extractors={"greedy": {}})
    assert "route[0].spoken: the key extractors 'greedy', 'spoken' claim the same requests" in told


def test_options_of_an_extractor_that_is_not_in_are_an_error() -> None:
    told = error(installed(), key_extractors={"jsn": {"text": "$.q"}})
    assert told.endswith("key_extractors.jsn: no key extractor of this name; in use: 'json'; did you mean 'json'?")


def test_one_mistake_is_told_once() -> None:
    told = error(installed(one=Offering(spoken=Spoken)), route=[{"path": "/ask", "spoken": {"speed": 0}}])
    assert told.startswith("configuration: route[0].spoken.speed: "), told


# -- routes -----------------------------------------------------------------------------------------------------------


def test_an_extractor_gets_every_route_and_its_own_options_of_each() -> None:
    routes = [{"path": "/a/spoken", "spoken": {"accent": "northern"}}, {"path": "/b/spoken", "ttl": "1h"}]
    components = made(installed(one=Offering(spoken=Spoken)), route=routes)
    (spoken,) = (one for one in components.key_extractors if isinstance(one, Spoken))
    assert spoken.routes == [
        ExtractorRoute("/a/spoken", SpokenRoute(accent="northern"), "configuration: route[0].spoken"),
        ExtractorRoute("/b/spoken"),
    ]


@pytest.mark.parametrize(
    ("route", "told"),
    [
        ({"spoken": {"acent": "x"}}, "route[0].spoken.acent: unknown option; did you mean 'accent'?"),
        ({"spoken": {"speed": 0}}, "route[0].spoken.speed: expected a whole number of at least 1, got 0"),
        (
            {"spokn": {"accent": "x"}},
            "route[0].spokn: no key extractor of this name; in use: 'json', 'spoken', 'sung'; did you mean 'spoken'?",
        ),
        (
            {"comparr": {"after": "x"}},
            "route[0].comparr: no key extractor of this name; in use: 'json', 'spoken', 'sung'; did you mean 'compare",
        ),
        ({"sung": {"accent": "x"}}, "route[0].sung: this key extractor has no options for a route"),
        ({"spoken": 3}, "route[0].spoken: unknown option; known: "),
        ({"json": {"text": "$..q"}}, "route[0].json.text: the JSON path '$..q' is not understood from '..q' on"),
        (
            {"json": {"ignore": ["x", "$["]}},
            "route[0].json.ignore[1]: the JSON path '$[' is not understood from '[' on",
        ),
    ],
)
def test_a_mistake_in_a_routes_options_names_the_key_path_and_the_remedy(route: dict[str, Any], told: str) -> None:
    registry = installed(one=Offering(spoken=Spoken, sung=Sung))
    assert f"configuration: {told}" in error(registry, route=[{"path": "/ask", **route}])


def test_a_route_may_speak_only_to_an_extractor_in_use() -> None:
    registry = installed(one=Offering(spoken=Spoken))
    told = error(registry, key_extractors={"use": ["json"]}, route=[{"path": "/ask", "spoken": {}}])
    assert told.startswith("configuration: route[0].spoken: no key extractor of this name; in use: 'json'")
