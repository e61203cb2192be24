"""What a type checker makes of the public names. Checked by ``nox -s lint``, never run."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, assert_type

from starlette.applications import Starlette

from semcache_core import DoNotCache, Lookup, SemanticCache, cached
from semcache_core.protocols import Embedder
from semcache_core.testing import CountingEmbedder
from semcache_fastapi import SemanticCacheMiddleware
from semcache_onnx.embedder import OnnxEmbedder
from semcache_onnx.options import OnnxOptions

cache = SemanticCache.from_config({"semcache": {"ttl": "7d"}})
assert_type(cache, SemanticCache)
assert_type(SemanticCache.from_toml("semcache.toml"), SemanticCache)


@cached(cache, ttl="1h", tags=["prices"])
async def answer(question: str, *, product: str) -> dict[str, int]:
    if not product:
        raise DoNotCache({})
    return {question: 1}


@cached(cache, key=lambda text, **_: text, enabled=lambda: True)
def shout(text: str) -> str:
    return text.upper()


async def a_decorated_function_keeps_its_signature() -> None:
    assert_type(await answer("How much is it?", product="shop"), dict[str, int])
    assert_type(shout("hello"), str)
    await answer(1, product="shop")  # type: ignore[arg-type]
    await answer("How much is it?")  # type: ignore[call-arg]


async def the_library_calls() -> None:
    async with cache as opened:
        assert_type(opened, SemanticCache)
        found = await opened.lookup("How much is it?", context={"product": "shop"}, threshold=0.97)
        assert_type(found, Lookup)
        assert_type(found.similarity, float | None)
        assert_type(await opened.get_or_call("How much is it?", price), int)
        assert_type(await opened.get_or_call("How much is it?", lambda: 2, refresh=True), int)
        await opened.get_or_call("How much is it?", price, tag="prices")  # type: ignore[call-overload]
        await opened.invalidate(tag="prices")
        await opened.reject(found)
    assert_type(cache.sync.get_or_call("How much is it?", lambda: 1), int)


async def price() -> int:
    return 1


def embedders_need_no_base_class() -> None:
    own: Embedder = OnnxEmbedder(OnnxOptions(path="model", pooling="mean"))
    counted: Embedder = CountingEmbedder()
    OnnxOptions(pooling="max")  # type: ignore[arg-type]
    assert own is not counted


def middleware(application: Starlette) -> Any:
    application.add_middleware(SemanticCacheMiddleware, config="semcache.toml", paths=["/ask"])
    waiting: Awaitable[Lookup] = cache.lookup("How much is it?")
    return waiting
