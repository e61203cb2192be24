"""Arguments that cannot be meant are refused where they are given, by name and with the remedy, on every way in."""

from __future__ import annotations

import asyncio
import datetime
import functools
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Self

import pytest

from semcache_core import SemanticCache, cached
from semcache_core.builtin.memory import MemoryResponseStore
from semcache_core.errors import StoreUnavailable
from semcache_core.testing import CountingEmbedder

CONFIG: dict[str, Any] = {"semcache": {"match": "exact"}, "vector_store": {"use": "memory"}}
ASKED = "Which arguments are refused?"


def shown(value: object) -> str:
    """Return the id of a parameter: the same in every process that collects the tests."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))


class Down(MemoryResponseStore):
    async def __aenter__(self) -> Self:
        raise StoreUnavailable("down")


State = Callable[[Callable[[SemanticCache], Any]], Any]


def blocking(ask: Callable[[Any], Any]) -> Any:
    cache = SemanticCache(CONFIG, response_store=MemoryResponseStore(MemoryResponseStore.Options()))
    try:
        cache.sync.store(ASKED, "x")
        return ask(cache.sync)
    finally:
        cache.sync.close()


def blocking_while_down(ask: Callable[[Any], Any]) -> Any:
    cache = SemanticCache(CONFIG, response_store=Down(Down.Options()))
    try:
        return ask(cache.sync)
    finally:
        cache.sync.close()


def entered(ask: Callable[[Any], Any]) -> Any:
    async def main() -> Any:
        async with SemanticCache(CONFIG, response_store=MemoryResponseStore(MemoryResponseStore.Options())) as cache:
            await cache.store(ASKED, "x")
            return await ask(cache)

    return asyncio.run(main())


def elsewhere(ask: Callable[[Any], Any]) -> Any:
    cache = SemanticCache(CONFIG, response_store=MemoryResponseStore(MemoryResponseStore.Options()))

    async def main() -> Any:
        return await ask(cache)

    try:
        return asyncio.run(main())
    finally:
        cache.sync.close()


def while_down(ask: Callable[[Any], Any]) -> Any:
    cache = SemanticCache(CONFIG, response_store=Down(Down.Options()))

    async def main() -> Any:
        return await ask(cache)

    try:
        return asyncio.run(main())
    finally:
        cache.sync.close()


QUESTION: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"prompt": 5}, TypeError, "the prompt is a int"),
    ({"prompt": b"x"}, TypeError, "the prompt is a bytes"),
    ({"namespace": 5}, TypeError, "namespace="),
    ({"namespace": ""}, ValueError, "namespace="),
    ({"namespace": "half \ud800"}, ValueError, "namespace="),
    ({"context": {1, 2}}, TypeError, "context"),
    ({"context": {"when": datetime.date(2026, 1, 1)}}, TypeError, "context.when"),
    ({"context": float("nan")}, TypeError, "context"),
]
THRESHOLD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"threshold": 2}, ValueError, "threshold"),
    ({"threshold": "0.9"}, TypeError, "threshold="),
    ({"threshold": True}, TypeError, "threshold="),
    ({"threshold": float("nan")}, ValueError, "threshold"),
]
STORING: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"ttl": "soon"}, ValueError, "ttl=: not a duration"),
    ({"ttl": -1}, ValueError, "ttl="),
    ({"ttl": True}, ValueError, "ttl="),
    ({"ttl": datetime.timedelta(days=1)}, ValueError, "ttl="),
    ({"tags": "a"}, TypeError, "tags="),
    ({"tags": [5]}, TypeError, "tags="),
    ({"tags": ""}, TypeError, "tags="),
    ({"tags": None}, TypeError, "tags="),
    ({"tags": ["half \ud800"]}, ValueError, "tags="),
]
CALLING: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"call": "answer"}, TypeError, "get_or_call takes a function"),
    ({"call": None}, TypeError, "get_or_call takes a function"),
    ({"refresh": "no"}, TypeError, "refresh="),
    ({"tll": 5}, TypeError, "tll.*ttl"),
]
FORGETTING: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({}, ValueError, "needs tag="),
    ({"tag": 5}, TypeError, "tag"),
    ({"tag": "half \ud800"}, ValueError, "tag"),
    ({"namespace": 5}, TypeError, "namespace="),
    ({"namespace": ""}, ValueError, "namespace="),
    ({"entry_id": ""}, ValueError, "entry_id"),
    ({"entry_id": "00"}, ValueError, "entry_id"),
    ({"entry_id": 5}, TypeError, "entry_id"),
    ({"entry_id": "zz" * 16}, ValueError, "entry_id"),
    ({"before": "7d"}, TypeError, "before"),
    ({"before": True}, TypeError, "before"),
]
CALLS: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    *(("lookup", *case) for case in QUESTION + THRESHOLD),
    *(("store", *case) for case in QUESTION + STORING),
    *(("get_or_call", *case) for case in QUESTION + THRESHOLD + STORING + CALLING),
    *(("invalidate", *case) for case in FORGETTING),
    *(("reject", {"lookup": wrong}, TypeError, "takes the Lookup") for wrong in ("id", None, b"x")),
]
USUAL: dict[str, dict[str, Any]] = {
    "lookup": {"prompt": ASKED},
    "store": {"prompt": ASKED, "value": "x"},
    "get_or_call": {"prompt": ASKED, "call": lambda: "x"},
}


@pytest.mark.parametrize("state", [blocking, blocking_while_down, entered, elsewhere, while_down])
@pytest.mark.parametrize(("name", "wrong", "error", "told"), CALLS, ids=lambda value: None)
def test_a_call_names_the_argument_that_is_wrong(
    state: State, name: str, wrong: dict[str, Any], error: type[Exception], told: str
) -> None:
    # The question has an answer: a mistake about the call must not wait for the first miss.
    arguments = USUAL.get(name, {}) | wrong

    with pytest.raises(error, match=told):
        state(lambda cache: getattr(cache, name)(**arguments))


def test_a_coroutine_in_place_of_a_function_says_what_to_pass() -> None:
    async def fetch() -> str:
        return "x"

    with pytest.raises(TypeError, match="pass `lambda: fetch"):
        entered(lambda cache: cache.get_or_call(ASKED, fetch()))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"embedder": "onnx"}, "embedder="),
        ({"embedder": CountingEmbedder}, "embedder=.*the class CountingEmbedder"),
        ({"vector_store": 5}, "vector_store="),
        ({"response_store": MemoryResponseStore}, "response_store="),
        ({"verifiers": "text-guard"}, "verifiers="),
        ({"verifiers": ["text-guard"]}, r"verifiers\[0\]="),
        ({"verifiers": CountingEmbedder()}, "verifiers="),
        ({"registry": {}}, "registry="),
        ({"clock": 5.0}, "clock="),
    ],
    ids=shown,
)
def test_a_cache_is_not_made_with_what_is_no_component(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(TypeError, match=told):
        SemanticCache(CONFIG, **wrong)


# -- @cached ----------------------------------------------------------------------------------------------------------

CACHE = SemanticCache(CONFIG | {"response_store": {"use": "memory"}})


class Thing:
    def __init__(self, prompt: str) -> None: ...

    def __call__(self, prompt: str) -> str:
        return prompt


def ask(prompt: str) -> str:
    return prompt


def stream(prompt: str) -> Iterator[str]:
    yield prompt


async def stream_async(prompt: str) -> AsyncIterator[str]:
    yield prompt


def several(*prompt: str) -> str:
    return prompt[0]


def named(**query: str) -> str:
    return query["a"]


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (Thing, "Thing is a class.*decorate the method"),
        (str, "str is a class"),
        (Thing("x"), "a Thing has no name.*write a function around it"),
        (functools.partial(ask, "x"), "a partial has no name"),
        (staticmethod(ask), "below @staticmethod"),
        (classmethod(ask), "below @classmethod"),
        (property(ask), "below @property"),
        (functools.cached_property(ask), "not a cached_property"),
        (stream, "is a generator"),
        (stream_async, "is a generator"),
        (len, "cannot tell which parameter"),
        (getattr, "parameter"),
        ("ask", "takes a function, not a str"),
        (None, "takes a function, not a NoneType"),
        (several, "cannot tell which parameter"),
        (named, "cannot tell which parameter"),
    ],
    ids=shown,
)
def test_what_cannot_be_cached_is_refused_at_decoration(function: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        cached(CACHE, version=1)(function)


@pytest.mark.parametrize(
    ("wrong", "error", "told"),
    [
        *[case for case in STORING if case[0].get("tags", ()) is not None],
        *THRESHOLD,
        *[case for case in QUESTION if "namespace" in case[0]],
        ({"version": object()}, TypeError, "version="),
        ({"version": 1.5}, TypeError, "version="),
        ({"enabled": "no"}, TypeError, "enabled="),
        ({"key": 5}, TypeError, "key="),
        ({"key": ""}, TypeError, "key=.*it has prompt"),
        ({"key": "text"}, TypeError, "key=.*it has prompt"),
    ],
    ids=shown,
)
def test_an_option_that_cannot_be_meant_is_refused_at_decoration(
    wrong: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        cached(CACHE, **wrong)(ask)


@pytest.mark.parametrize("wrong", [None, "cache", CACHE.sync, ask, SemanticCache], ids=shown)
def test_cached_takes_a_cache(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"@cached takes the cache: write @cached\(cache\)"):
        cached(wrong)


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (lambda prompt: 5, "returned a int as the prompt"),
        (lambda prompt: (prompt, 1, 2), "returned 3 values"),
        (lambda prompt: (prompt, {1}), "context"),
    ],
)
def test_what_a_key_function_returns_is_checked_at_the_call(key: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        cached(CACHE, key=key)(ask)("x")


def test_what_looks_like_a_function_is_one() -> None:
    @functools.lru_cache
    def remembered(prompt: str) -> str:
        return prompt

    class Holder:
        @staticmethod
        @cached(CACHE, version=2)
        def ask(prompt: str) -> str:
            return prompt

    assert cached(CACHE, version=1)(remembered)("x y") == "x y"
    assert Holder.ask("x y") == Holder().ask("x y") == "x y"
