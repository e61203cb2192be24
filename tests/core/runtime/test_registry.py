"""The registry: isolation of broken plugins, conflicts, refusals by name."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from semcache_core.errors import AmbiguousComponentError, ConfigError, PluginError, UnknownComponentError
from semcache_core.plugin import API_VERSION
from semcache_core.remedies import pip_install
from semcache_core.runtime.registry import KINDS, Kind, Registry

HEADER = "from semcache_core.plugin import Component, hookimpl\n"
REDIS = """
@hookimpl
def semcache_vector_stores():
    return [Component("redis", factory="json:JSONDecoder", summary="vectors in Redis")]
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution for real: a module and its dist-info on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name: str, source: str, *, version: str = "1.2", entry_points: str | None = None) -> None:
        module = name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(HEADER + textwrap.dedent(source))
        info = tmp_path / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(entry_points or f"[semcache]\n{name} = {module}\n")
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install


def _only_failure(registry: Registry, distribution: str) -> str:
    (failure,) = (str(each) for each in registry.failures if each.distribution == distribution)
    return failure


def test_the_built_ins_are_offered_through_the_same_entry_points_as_outsiders() -> None:
    registry = Registry.installed()

    offers = {
        (kind, o.component.name) for kind in KINDS for o in registry.offers(kind) if o.distribution == "semcache-core"
    }

    assert offers >= {
        ("vector_stores", "memory"),
        ("vector_stores", "sqlite"),
        ("response_stores", "memory"),
        ("response_stores", "sqlite"),
        ("key_extractors", "json"),
        ("commands", "check"),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_factory_of_the_core_can_be_loaded(kind: str) -> None:
    registry = Registry.installed()

    for offer in registry.offers(kind):  # type: ignore[arg-type]
        if offer.distribution == "semcache-core":
            assert callable(registry.load(kind, offer.component.name))  # type: ignore[arg-type]


def test_a_component_of_a_distribution_is_found_and_loaded_by_name(install: Install) -> None:
    install("semcache-redis", REDIS)
    registry = Registry.installed()

    offer = registry.find("vector_stores", "redis")

    assert (offer.distribution, offer.version, offer.component.summary) == ("semcache-redis", "1.2", "vectors in Redis")
    assert registry.load("vector_stores", "redis").__name__ == "JSONDecoder"


def test_an_unknown_name_says_where_it_stands_what_is_installed_and_what_was_meant(install: Install) -> None:
    install("semcache-redis", REDIS)

    with pytest.raises(UnknownComponentError) as caught:
        Registry.installed().find("vector_stores", "rediss", where="semcache.toml: vector_store.use")

    message = str(caught.value)
    assert "no vector store named 'rediss' (semcache.toml: vector_store.use)" in message
    assert "installed: 'memory', 'redis', 'sqlite'" in message
    assert "did you mean 'redis'?" in message


@pytest.mark.parametrize(
    ("kind", "name", "requirement"),
    [("embedders", "onnx", "semcache-onnx[bundled]"), ("verifiers", "text-guard", "semcache-text-guard")],
)
def test_a_plugin_of_the_project_that_is_not_installed_is_named(kind: Kind, name: str, requirement: str) -> None:
    with pytest.raises(UnknownComponentError) as caught:
        Registry().find(kind, name)
    assert str(caught.value).endswith(f"; it comes with: {pip_install(requirement)}")


def test_without_the_list_of_the_build_no_distribution_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semcache_core.runtime.elsewhere.FILE", tmp_path / "elsewhere.json")
    with pytest.raises(UnknownComponentError) as caught:
        Registry().find("embedders", "onnx")
    assert str(caught.value) == "no embedder named 'onnx'; installed: none"


@pytest.mark.parametrize(
    ("source", "stage", "reason"),
    [
        ("import no_such_module_anywhere", "import", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("raise SystemExit(3)", "import", "SystemExit: 3"),
        ("def oops(:", "import", "SyntaxError"),
        ("@hookimpl\ndef semcache_embedders(): return 1 / 0", "hook", "ZeroDivisionError"),
        ("@hookimpl\ndef semcache_embedders(): return ['x']", "hook", "a list of Component, and one is str"),
        ("@hookimpl\ndef semcache_embedders(): return None", "hook", "a list of Component, not NoneType"),
        ("@hookimpl\ndef semcache_embedders(): return [Component('a b', 'x:y')]", "hook", "'a b' cannot be a name"),
        ("@hookimpl\ndef semcache_embedders(): return [Component('a', 'x.y')]", "hook", "'package.module:Name'"),
        ("@hookimpl\ndef semcache_embedders(): return [Component('a', 'x:y')] * 2", "hook", "offers 'a' twice"),
        ("@hookimpl\ndef semcache_embeders(): ...", "spec", "did you mean 'semcache_embedders'?"),
        ("def semcache_embedders(): ...", "spec", "put @hookimpl"),
        ("def semcache_embeders(): ...", "spec", "did you mean 'semcache_embedders'?"),
        ("@hookimpl\nasync def semcache_embedders(): ...", "spec", "semcache_embedders is an async function"),
        ("@hookimpl(wrapper=True)\ndef semcache_embedders(): yield", "spec", "semcache_embedders is a hook wrapper"),
        ("@hookimpl\ndef semcache_may_store(query, entri): ...", "spec", "did you mean 'entry'?"),
        ("@hookimpl\ndef semcache_observe(*, event): ...", "spec", "takes 'event' by keyword only"),
        ("semcache_api = 'new'", "spec", "a pair of integers"),
        ("semcache_api = (0, 9)", "spec", "upgrade the plugin"),
    ],
)
def test_a_broken_plugin_is_named_with_its_stage_and_stops_nobody(
    install: Install, source: str, stage: str, reason: str
) -> None:
    install("semcache-broken", source)
    install("semcache-redis", REDIS)

    registry = Registry.installed()

    failure = _only_failure(registry, "semcache-broken")
    assert failure.startswith(f"semcache-broken 1.2 ({stage}): ")
    assert reason in failure
    assert registry.find("vector_stores", "redis").distribution == "semcache-redis"
    with pytest.raises(UnknownComponentError) as caught:
        registry.find("embedders", "missing")
    assert failure in str(caught.value)


def test_a_hook_that_raises_takes_out_the_whole_plugin(install: Install) -> None:
    install(
        "semcache-broken",
        REDIS + "@hookimpl\ndef semcache_verifiers(): return 1 / 0\n@hookimpl\ndef semcache_observe(event): ...\n",
    )

    registry = Registry.installed()

    assert "redis" not in {offer.component.name for offer in registry.offers("vector_stores")}
    assert registry.observers() == ()


def test_malformed_metadata_of_one_distribution_hides_no_other(install: Install) -> None:
    install("semcache-broken", "", entry_points="[semcache]\nno equals sign here\n")
    install("semcache-redis", REDIS)

    registry = Registry.installed()

    assert _only_failure(registry, "semcache-broken").startswith("semcache-broken ? (metadata): ")
    assert registry.find("vector_stores", "redis")


def test_a_plugin_for_a_newer_protocol_says_which_core_it_needs(install: Install) -> None:
    newer = (API_VERSION[0], API_VERSION[1] + 3)
    install("semcache-future", f"semcache_api = {newer}\n@hookimpl\ndef semcache_not_yet_known(): ...")

    failure = _only_failure(Registry.installed(), "semcache-future")

    assert f"speaks plugin protocol {newer[0]}.{newer[1]} or newer" in failure
    assert pip_install("--upgrade", "semcache-core") in failure
    assert "semcache_not_yet_known" not in failure


def test_a_name_offered_twice_raises_only_when_it_is_used_and_names_both_owners(install: Install) -> None:
    install("semcache-redis", REDIS)
    install("other-redis", REDIS, version="0.3")

    registry = Registry.installed()

    assert registry.failures == ()
    assert registry.find("vector_stores", "sqlite")
    with pytest.raises(AmbiguousComponentError) as caught:
        registry.find("vector_stores", "redis", where="semcache.toml: vector_store.use")
    message = str(caught.value)
    assert "'redis' (semcache.toml: vector_store.use) is offered by other-redis 0.3 and semcache-redis 1.2" in message
    assert "write 'other-redis/redis' or 'semcache-redis/redis'" in message
    assert registry.find("vector_stores", "other_redis/redis").version == "0.3"


def test_one_distribution_cannot_offer_a_name_twice(install: Install) -> None:
    install("more-redis", REDIS)
    install("semcache-redis", REDIS, entry_points="[semcache]\na = semcache_redis\nb = more_redis\n")

    failure = _only_failure(Registry.installed(), "semcache-redis")

    assert "offers 'redis', which another plugin of semcache-redis offers already" in failure


def test_two_entry_points_of_one_module_are_a_failure_of_the_second(install: Install) -> None:
    install("semcache-redis", REDIS, entry_points="[semcache]\na = semcache_redis\nb = semcache_redis\n")

    registry = Registry.installed()

    assert "two entry points name the same module" in _only_failure(registry, "semcache-redis")
    assert registry.find("vector_stores", "redis")


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        ("no_such_library_at_all:Store", "ModuleNotFoundError: No module named 'no_such_library_at_all'"),
        ("json:NoSuchName", "AttributeError"),
        ("sys:maxsize", "is not a class or a function"),
    ],
)
def test_a_factory_that_cannot_be_loaded_raises_with_its_cause(install: Install, factory: str, reason: str) -> None:
    install("semcache-redis", REDIS.replace("json:JSONDecoder", factory))
    registry = Registry.installed()

    with pytest.raises(PluginError) as caught:
        registry.load("vector_stores", "redis", where="semcache.toml: vector_store.use")

    assert (
        "vector store 'redis' (semcache.toml: vector_store.use) cannot be loaded: semcache-redis 1.2 (factory)"
        in str(caught.value)
    )
    assert reason in str(caught.value)
    assert caught.value.__cause__ is not None
    assert [failure.stage for failure in registry.failures] == ["factory"]


def test_a_broken_plugin_is_a_plugin_error_and_a_wrong_name_a_config_error() -> None:
    assert issubclass(UnknownComponentError, ConfigError)
    assert issubclass(AmbiguousComponentError, ConfigError)
    assert not issubclass(PluginError, ConfigError)


def test_observers_and_vetoes_are_handed_out_one_by_one_and_may_leave_arguments_out(install: Install) -> None:
    install("semcache-a", "@hookimpl\ndef semcache_may_store(entry): return entry\n")
    install("semcache-b", "@hookimpl\ndef semcache_may_store(query, entry): return query\n")
    install("semcache-c", "@hookimpl\ndef semcache_observe(): return 'heard'\n")
    registry = Registry.installed()

    assert {veto("query", "entry") for veto in registry.vetoes()} == {"query", "entry"}  # type: ignore[arg-type]
    assert [observe("event") for observe in registry.observers()] == ["heard"]  # type: ignore[arg-type]


def test_two_distributions_may_both_call_their_plugin_plugin(install: Install) -> None:
    for name in ("semcache-one", "semcache-two"):
        module = name.replace("-", "_")
        source = f"""
        class Plugin:
            @staticmethod
            @hookimpl
            def semcache_verifiers():
                return [Component("{module}", factory="x:Y")]
        """
        install(name, source, entry_points=f"[semcache]\n{name} = {module}:Plugin\n")

    registry = Registry.installed()

    assert {"semcache_one", "semcache_two"} <= {offer.component.name for offer in registry.offers("verifiers")}


@pytest.mark.parametrize("name", ["semcache_api", "anything", "__class__"])
def test_an_object_whose_own_code_raises_is_a_failure_and_stops_nobody(name: str) -> None:
    def raising(self: object) -> object:
        raise RuntimeError("its own fault")

    plugin = type("Odd", (), {name: property(raising)})()
    registry = Registry()

    sound = registry.add(plugin, distribution="odd")

    assert [str(failure) for failure in registry.failures] == (
        [] if sound else ["odd (spec): RuntimeError: its own fault"]
    )
    assert registry.add(object(), distribution="another")


def test_an_object_can_be_added_by_hand() -> None:
    from semcache_core.plugin import Component, hookimpl

    class Plugin:
        @hookimpl
        def semcache_embedders(self) -> list[Component]:
            return [Component("fixed", "semcache_core.testing:Fixed")]

    registry = Registry()

    assert registry.add(Plugin(), distribution="mine")
    assert registry.find("embedders", "fixed").distribution == "mine"


@pytest.mark.parametrize(
    "module", ["semcache_core.plugin", "semcache_core.runtime.registry", "semcache_core.builtin.plugin"]
)
def test_what_lists_plugins_imports_no_numpy(module: str) -> None:
    heavy = "{'numpy', 'asyncio', 'semcache_core.protocols', 'click', 'sqlite3'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_listing_the_installed_plugins_imports_no_component() -> None:
    code = """
import sys
from semcache_core.runtime.registry import Registry
Registry.installed()
light = ("semcache_core.builtin.plugin", "semcache_core.builtin.reasons")
print([name for name in sys.modules if name.startswith("semcache_core.builtin.") and name not in light])
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
