"""The names and signatures that users write. A change here is a change that users see: it goes into the changelog."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from typing import Any, get_args, get_type_hints

import pytest

import semcache_core
from semcache_core import DoNotCache, Lookup, SemanticCache, cached

HOOKS = {
    "semcache_embedders": [],
    "semcache_vector_stores": [],
    "semcache_response_stores": [],
    "semcache_key_extractors": [],
    "semcache_verifiers": [],
    "semcache_commands": [],
    "semcache_may_store": ["query", "entry"],
    "semcache_observe": ["event"],
}
KIT = {
    "EmbedderContract",
    "VectorStoreContract",
    "ResponseStoreContract",
    "KeyExtractorContract",
    "VerifierContract",
    "PluginContract",
    "FrozenClock",
    "CountingEmbedder",
    "FlakyStore",
    "RecordingObserver",
    "ContractBroken",
    "AnswerSample",
}
ERRORS = {
    "SemcacheError": "Exception",
    "ConfigError": "SemcacheError",
    "UnknownComponentError": "ConfigError",
    "AmbiguousComponentError": "ConfigError",
    "PluginError": "SemcacheError",
    "NotOpenError": "SemcacheError",
    "WrongLoopError": "SemcacheError",
    "CacheUnavailable": "DependencyError",
    "DependencyError": "SemcacheError",
    "EmbedderUnavailable": "DependencyError",
    "TextTooLong": "EmbedderUnavailable",
    "TextUnreadable": "EmbedderUnavailable",
    "StoreUnavailable": "DependencyError",
    "VerifierUnavailable": "DependencyError",
    "AnswerAborted": "SemcacheError",
    "DimensionMismatch": "SemcacheError",
    "UnsupportedByStore": "SemcacheError",
}
CALLS: dict[str, tuple[list[str], list[str]]] = {
    "lookup": (["prompt"], ["context", "namespace", "threshold"]),
    "store": (["prompt", "value"], ["context", "namespace", "ttl", "tags"]),
    "get_or_call": (["prompt", "call"], ["refresh", "context", "namespace", "threshold", "ttl", "tags"]),
    "invalidate": ([], ["tag", "entry_id", "namespace", "before"]),
    "reject": (["lookup"], []),
    "stats": ([], []),
}


def parameters(function: Any) -> tuple[list[str], list[str]]:
    """Return the names of a function's positional and keyword-only parameters, self left out."""
    found = [each for each in inspect.signature(function).parameters.values() if each.name != "self"]
    by_keyword = [each.name for each in found if each.kind is each.KEYWORD_ONLY]
    if found and found[-1].kind is inspect.Parameter.VAR_KEYWORD:
        (options,) = get_args(get_type_hints(function)[found.pop().name])
        by_keyword += options.__annotations__
    return [each.name for each in found if each.kind is not each.KEYWORD_ONLY], by_keyword


def test_the_package_exports_what_users_import() -> None:
    assert set(semcache_core.__all__) == {"DoNotCache", "Lookup", "SemanticCache", "Stats", "cached"}
    assert set(dir(semcache_core)) >= set(semcache_core.__all__)
    for name in semcache_core.__all__:
        assert getattr(semcache_core, name).__name__ == name


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'SemanticCahce'"):
        semcache_core.SemanticCahce  # noqa: B018


@pytest.mark.parametrize("name", CALLS)
def test_a_call_of_the_cache_takes_what_is_promised(name: str) -> None:
    assert parameters(getattr(SemanticCache, name)) == CALLS[name]


@pytest.mark.parametrize("name", ["lookup", "store", "get_or_call", "invalidate", "reject"])
def test_the_calls_of_the_cache_are_async_and_their_blocking_twins_take_the_same(name: str) -> None:
    from semcache_core.library.blocking import BlockingCache

    assert inspect.iscoroutinefunction(getattr(SemanticCache, name))
    twin = getattr(BlockingCache, name)
    assert not inspect.iscoroutinefunction(twin)
    positional, by_keyword = CALLS[name]
    inspect.signature(twin).bind(None, *positional, **dict.fromkeys(by_keyword))


def test_the_cache_has_its_calls_and_nothing_else() -> None:
    made = SemanticCache({"semcache": {"match": "exact"}})
    assert {name for name in dir(made) if not name.startswith("_")} == {
        *CALLS,
        *("check", "config", "from_toml", "from_config", "lifecycle", "sync"),
    }


def test_the_blocking_calls_are_those_of_the_cache() -> None:
    from semcache_core.library.blocking import BlockingCache

    assert {name for name in vars(BlockingCache) if not name.startswith("_")} == {*CALLS, "close"}


def test_a_cache_is_made_from_a_file_or_a_mapping() -> None:
    assert parameters(SemanticCache.from_toml) == (["path"], [])
    assert parameters(SemanticCache.from_config) == (["mapping"], [])


def test_a_lookup_tells_what_is_promised() -> None:
    for name in ("hit", "value", "similarity", "source", "reason", "entry_id", "age", "__bool__"):
        assert hasattr(Lookup, name) or name in inspect.signature(Lookup).parameters, name


def test_a_cached_function_takes_what_is_promised() -> None:
    positional, by_keyword = parameters(cached)
    assert positional == ["cache"]
    assert set(by_keyword) == {"ttl", "threshold", "namespace", "key", "tags", "version", "enabled"}


def test_do_not_cache_can_be_returned_and_raised_with_a_value() -> None:
    assert issubclass(DoNotCache, Exception)
    assert DoNotCache(7).value == 7


def test_the_kit_exports_what_authors_import() -> None:
    kit = importlib.import_module("semcache_core.testing")
    assert set(kit.__all__) == KIT
    assert all(hasattr(kit, name) for name in KIT)


def test_the_hooks_are_those_that_plugins_implement() -> None:
    hookspecs = importlib.import_module("semcache_core.hookspecs")
    found = {name: parameters(value)[0] for name, value in vars(hookspecs).items() if name.startswith("semcache_")}
    assert found == HOOKS


def test_the_errors_are_a_tree_that_users_can_catch() -> None:
    errors = importlib.import_module("semcache_core.errors")
    found = {name: value.__base__.__name__ for name, value in vars(errors).items() if inspect.isclass(value)}
    assert found == ERRORS


def test_a_plugins_light_module_loads_nothing_heavy() -> None:
    code = (
        "import sys, semcache_core.plugin;"
        "print(*({'numpy', 'msgspec', 'asyncio', 'sqlite3', 'semcache_core.library.cache'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_package_ships_its_types() -> None:
    from importlib.resources import files

    assert (files("semcache_core") / "py.typed").is_file()
