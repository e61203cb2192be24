"""Mistakes that other caches make, each with a test of its own: what concerns the library. Those of HTTP are elsewhere.

The embedder counts words, so texts that a model would put at 0.99 are put there here, too.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from semcache_core import SemanticCache, cached
from semcache_core.testing import CountingEmbedder
from semcache_core.types import Vector

from ..conftest import remote_responses, remote_vectors

Rig = Callable[..., Any]

QUESTION = "How do I reset my password?"
REWORDED = "How do I reset my password"
EXACT = {
    "semcache": {"match": "exact"},
    "vector_store": {"use": "memory"},
    "response_store": {"use": "memory"},
}
SECRET = "my number is 4929-1234"


async def answer() -> str:
    return "fresh"


# -- what must not be shared ------------------------------------------------------------------------------------------


def test_a_long_shared_context_with_two_different_questions_does_not_match(rig: Rig) -> None:
    async def body() -> None:
        shared = " ".join(f"Clause {n} binds the tenant and the landlord in equal measure." for n in range(40))
        async with rig() as open_rig:
            await open_rig.cache.store(f"{shared} Who pays for the roof?", "the landlord")
            found = await open_rig.cache.lookup(f"{shared} Who pays for the garden?")
            assert (found.hit, found.reason) == (False, "long-text")

    asyncio.run(body())


def test_two_long_texts_that_differ_in_the_middle_do_not_match(rig: Rig) -> None:
    async def body() -> None:
        before, after = "word " * 200, "more " * 200
        async with rig() as open_rig:
            await open_rig.cache.store(f"{before} the rent is due in May {after}", "May")
            assert not await open_rig.cache.lookup(f"{before} the rent is due in June {after}")

    asyncio.run(body())


def test_two_cached_functions_with_equal_arguments_do_not_share_an_answer(rig: Rig) -> None:
    async def body() -> None:
        async with rig() as open_rig:

            @cached(open_rig.cache)
            async def translate(prompt: str) -> str:
                return f"translated: {prompt}"

            @cached(open_rig.cache)
            async def summarise(prompt: str) -> str:
                return f"summarised: {prompt}"

            for _ in range(2):
                assert await translate(QUESTION) == f"translated: {QUESTION}"
                assert await summarise(QUESTION) == f"summarised: {QUESTION}"

    asyncio.run(body())


def test_one_body_has_another_id_for_each_tenant(rig: Rig) -> None:
    async def body() -> None:
        async with rig() as open_rig:
            ids = set()
            for context, namespace in (({"t": 1}, None), ({"t": 2}, None), (None, None), (None, "b")):
                await open_rig.cache.store(QUESTION, "x", context=context, namespace=namespace)
                found = await open_rig.cache.lookup(QUESTION, context=context, namespace=namespace)
                ids.add(found.entry_id)
            assert len(ids) == 4

    asyncio.run(body())


def test_the_context_is_no_part_of_the_embedded_text(rig: Rig) -> None:
    async def body() -> None:
        async with rig() as open_rig:
            await open_rig.cache.store(QUESTION, "for ann", context={"user": "ann", "path": "/v1/ask", "model": "m"})
            found = await open_rig.cache.lookup(REWORDED, context={"user": "bob", "path": "/v1/ask", "model": "m"})
            assert not found, "another user's answer at 0.995"
            assert set(open_rig.embedder.texts) <= {QUESTION, REWORDED}

    asyncio.run(body())


def test_a_closer_entry_of_another_tenant_never_hides_a_good_one(rig: Rig) -> None:
    async def body() -> None:
        tenants = 150
        async with rig() as open_rig:
            for tenant in range(tenants):
                await open_rig.cache.store(QUESTION, tenant, context={"tenant": tenant})
                await open_rig.cache.store(REWORDED + ", please", tenant, context={"tenant": tenant})
            found = [await open_rig.cache.lookup(REWORDED, context={"tenant": tenant}) for tenant in range(tenants)]
            assert [each.value for each in found] == list(range(tenants))

    asyncio.run(body())


def test_a_value_that_one_caller_changes_is_not_changed_for_the_next(rig: Rig) -> None:
    async def body() -> None:
        async with rig() as open_rig:
            given = {"steps": ["open", "click"]}
            await open_rig.cache.store(QUESTION, given)
            given["steps"].append("mine")
            first = await open_rig.cache.lookup(QUESTION)
            first.value["steps"].clear()
            assert (await open_rig.cache.lookup(QUESTION)).value == {"steps": ["open", "click"]}

    asyncio.run(body())


def test_nothing_is_lower_cased_before_it_is_compared(rig: Rig) -> None:
    async def body() -> None:
        async with rig({"semcache": {"match": "exact"}}) as open_rig:
            await open_rig.cache.store("Is NIST the same as nist?", "upper")
            assert not await open_rig.cache.lookup("is nist the same as nist?")
            # U+212A, the Kelvin sign, is a k to whoever folds case.
            assert not await open_rig.cache.lookup("Is NIST the same as nist\u212a?")
            await open_rig.cache.store(QUESTION, "x", context={"unit": "K"})
            assert not await open_rig.cache.lookup(QUESTION, context={"unit": "\u212a"})
            assert not await open_rig.cache.lookup(QUESTION, context={"unit": "k"})

    asyncio.run(body())


# -- embedding --------------------------------------------------------------------------------------------------------


def test_batch_mates_do_not_change_each_others_similarity(rig: Rig) -> None:
    class Int8(CountingEmbedder):
        batch_invariant = False
        largest = 0

        async def embed(self, texts: Sequence[str]) -> Vector:
            self.largest = max(self.largest, len(texts))
            return await super().embed(texts)

    async def body() -> None:
        embedder = Int8(delay=0.001)
        async with rig(embedder=embedder, vector_store=remote_vectors()) as open_rig:
            await asyncio.gather(*(open_rig.cache.lookup(f"What is the name of gate {n}?") for n in range(20)))
            assert embedder.largest == 1

    asyncio.run(body())


def test_a_miss_embeds_once(rig: Rig) -> None:
    async def body() -> None:
        async with rig(vector_store=remote_vectors()) as open_rig:
            assert await open_rig.cache.get_or_call(QUESTION, answer) == "fresh"
            await open_rig.cache.lookup("Which wine goes with grilled fish?")
        assert open_rig.embedder.texts.count(QUESTION) == 1

    asyncio.run(body())


def test_embeddings_of_more_than_2000_dimensions_work(rig: Rig) -> None:
    async def body() -> None:
        async with rig(embedder=CountingEmbedder(dimensions=3072)) as open_rig:
            await open_rig.cache.store(QUESTION, "stored")
            assert (await open_rig.cache.lookup(REWORDED)).source == "semantic"

    asyncio.run(body())


@pytest.mark.parametrize("prompt", ["x" * 4000, "word " * 5000, "a\x00b question", "🙂" * 3000], ids=len)
def test_prompts_over_2700_bytes_or_with_nul_are_stored(rig: Rig, prompt: str) -> None:
    async def body() -> None:
        async with rig() as open_rig:
            assert await open_rig.cache.store(prompt, "stored")
            assert (await open_rig.cache.lookup(prompt)).value == "stored"

    asyncio.run(body())


# -- time -------------------------------------------------------------------------------------------------------------


def test_a_purged_answer_is_not_served_stale(rig: Rig) -> None:
    async def body() -> None:
        windows = {"ttl": 60, "jitter": 0, "stale_while_revalidate": 3600, "stale_if_error": 3600}
        async with rig({"semcache": windows}) as open_rig:

            async def fail() -> str:
                raise ConnectionError("upstream is down")

            await open_rig.cache.store(QUESTION, "wrong", tags=["faq"])
            open_rig.clock.advance(90)
            await open_rig.cache.invalidate(tag="faq")
            assert not await open_rig.cache.lookup(QUESTION)
            assert not await open_rig.cache.lookup(REWORDED)
            with pytest.raises(ConnectionError):
                await open_rig.cache.get_or_call(QUESTION, fail)

    asyncio.run(body())


def test_a_purged_answer_that_still_waits_to_be_written_is_not_served(rig: Rig) -> None:
    async def body() -> None:
        store = remote_responses()
        async with rig(response_store=store) as open_rig:
            store.delay("set", seconds=0.05)
            assert await open_rig.cache.get_or_call(QUESTION, answer, tags=["faq"]) == "fresh"
            assert await open_rig.cache.lookup(QUESTION), "a queued write is visible at once"
            await open_rig.cache.invalidate(tag="faq")
            assert not await open_rig.cache.lookup(QUESTION)
            assert not await open_rig.cache.lookup(REWORDED)
            await asyncio.sleep(0.1)
            assert not await open_rig.cache.lookup(QUESTION)
            assert not await open_rig.cache.lookup(REWORDED)

    asyncio.run(body())


def test_a_rejected_answer_that_still_waits_to_be_written_is_not_served(rig: Rig) -> None:
    async def body() -> None:
        store = remote_responses()
        async with rig(response_store=store) as open_rig:
            store.delay("set", seconds=0.05)
            assert await open_rig.cache.get_or_call(QUESTION, answer) == "fresh"
            await open_rig.cache.reject(await open_rig.cache.lookup(QUESTION))
            assert not await open_rig.cache.lookup(QUESTION)
            await asyncio.sleep(0.1)
            assert not await open_rig.cache.lookup(QUESTION)

    asyncio.run(body())


def test_an_answer_that_still_waits_to_be_written_never_replaces_a_later_one(rig: Rig) -> None:
    async def body() -> None:
        store = remote_responses()
        async with rig(response_store=store) as open_rig:
            store.delay("set", seconds=0.05)
            assert await open_rig.cache.get_or_call(QUESTION, answer) == "fresh"
            await asyncio.sleep(0.01)
            store.heal()
            assert await open_rig.cache.store(QUESTION, "corrected")
            await asyncio.sleep(0.1)
            assert (await open_rig.cache.lookup(QUESTION)).value == "corrected"

    asyncio.run(body())


def test_a_hit_does_not_erase_the_ttl(rig: Rig) -> None:
    async def body() -> None:
        async with rig({"semcache": {"ttl": 60, "jitter": 0}}) as open_rig:
            await open_rig.cache.store(QUESTION, "stored")
            for _ in range(59):
                open_rig.clock.advance(1)
                assert await open_rig.cache.lookup(QUESTION)
                assert await open_rig.cache.lookup(REWORDED)
            open_rig.clock.advance(1)
            assert not await open_rig.cache.lookup(QUESTION)
            assert not await open_rig.cache.lookup(REWORDED)

    asyncio.run(body())


def test_a_ttl_of_zero_is_not_the_default_and_not_for_ever(rig: Rig) -> None:
    async def body() -> None:
        async with rig() as open_rig:
            await open_rig.cache.store(QUESTION, "stored", ttl=0)
            assert not await open_rig.cache.lookup(QUESTION)
            await open_rig.cache.get_or_call(QUESTION, answer, ttl=0)
            assert not await open_rig.cache.lookup(QUESTION)
            await open_rig.cache.store(QUESTION, "stored", ttl="never")
            open_rig.clock.advance(10 * 365 * 86400)
            assert await open_rig.cache.lookup(QUESTION)

    asyncio.run(body())


# -- failure ----------------------------------------------------------------------------------------------------------


def test_ten_waiters_behind_a_failing_leader_do_not_make_ten_serial_calls(rig: Rig) -> None:
    async def body() -> None:
        async with rig() as open_rig:

            async def fail() -> str:
                await asyncio.sleep(0.1)
                raise ConnectionError("upstream is down")

            begin = time.perf_counter()
            asked = [open_rig.cache.get_or_call(QUESTION, fail) for _ in range(11)]
            errors = await asyncio.gather(*asked, return_exceptions=True)
            assert all(isinstance(error, ConnectionError) for error in errors)
            assert time.perf_counter() - begin < 0.3 + 0.3, "the leader, one more, and then all together"

    asyncio.run(body())


def test_a_dead_store_does_not_make_caller_k_wait_k_timeouts(rig: Rig) -> None:
    async def body() -> None:
        store = remote_responses()
        async with rig({"limits": {"response_deadline": 0.05}}, response_store=store) as open_rig:
            store.hang("get", "set")
            begin = time.perf_counter()
            for n in range(20):
                assert await open_rig.cache.get_or_call(f"When does shop {n} open?", answer) == "fresh"
            assert time.perf_counter() - begin < 4 * 0.05 + 0.5
            open_rig.cache.stats()
            store.heal()

    asyncio.run(body())


def test_a_dead_index_does_not_fail_reads_that_the_response_store_can_serve(rig: Rig) -> None:
    async def body() -> None:
        store = remote_vectors()
        async with rig(vector_store=store) as open_rig:
            await open_rig.cache.store(QUESTION, "stored")
            store.fail("search", "upsert", "delete", "count")
            for _ in range(20):
                assert (await open_rig.cache.lookup(QUESTION)).value == "stored"

    asyncio.run(body())


def test_a_calls_own_timeout_error_stays_what_it_is(rig: Rig) -> None:
    async def body() -> None:
        async with rig() as open_rig:
            mine = TimeoutError("the model took its time")

            async def slow() -> str:
                raise mine

            with pytest.raises(TimeoutError) as caught:
                await open_rig.cache.get_or_call(QUESTION, slow)
            assert caught.value is mine

    asyncio.run(body())


# -- growth and life --------------------------------------------------------------------------------------------------


def test_nothing_grows_without_bound(rig: Rig) -> None:
    async def body() -> None:
        bounds = {
            "response_store": {"use": "memory", "max_bytes": 200_000},
            "vector_store": {"use": "memory", "max_bytes": 200_000},
            "limits": {"embedding_cache": 50},
        }
        async with rig(bounds) as open_rig:
            for n in range(2000):
                await open_rig.cache.store(f"What is the price of article number {n}?", "x" * 200)
            runtime = open_rig.cache.lifecycle.here()
            assert runtime is not None
            parts = runtime.engine.parts
            assert await parts.responses.count() < 1000
            assert await parts.vectors.count() < 1000
            assert (await open_rig.cache.lookup("What is the price of article number 1999?")).value == "x" * 200

    asyncio.run(body())


def test_the_blocking_form_works_inside_a_running_loop() -> None:
    cache = SemanticCache.from_config(EXACT)

    async def handler() -> str:
        first = cache.sync.get_or_call(QUESTION, lambda: "fresh")
        assert first == cache.sync.get_or_call(QUESTION, lambda: "other")
        return first

    try:
        assert asyncio.run(handler()) == "fresh"
    finally:
        cache.sync.close()


def test_the_blocking_form_does_not_keep_the_interpreter_alive() -> None:
    code = (
        "from semcache_core import SemanticCache\n"
        f"cache = SemanticCache.from_config({EXACT!r})\n"
        "print(cache.sync.get_or_call('How do I reset my password?', lambda: 'fresh'))\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "fresh", "")


def test_an_async_generator_is_refused_and_never_cached_exhausted(rig: Rig) -> None:
    async def body() -> None:
        async with rig() as open_rig:
            with pytest.raises(TypeError, match="generator"):

                @cached(open_rig.cache)
                async def stream(prompt: str) -> Any:
                    yield prompt

            async def made() -> Any:
                return (piece async for piece in pieces())

            async def pieces() -> Any:
                yield "piece"

            for _ in range(2):
                assert [piece async for piece in await open_rig.cache.get_or_call(QUESTION, made)] == ["piece"]

    asyncio.run(body())


def test_prompts_are_in_no_log_no_event_and_no_error(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        responses, vectors = remote_responses(), remote_vectors()
        async with rig(response_store=responses, vector_store=vectors) as open_rig:
            await open_rig.cache.store(f"Refund this card, {SECRET}", "done")
            await open_rig.cache.lookup(f"Refund that card, {SECRET}")
            responses.fail("get", "set", error=RuntimeError(f"cannot parse {SECRET}"))
            vectors.fail("search", error=RuntimeError(f"cannot parse {SECRET}"))
            open_rig.embedder.fail = RuntimeError(f"cannot embed {SECRET}")
            found = await open_rig.cache.lookup(f"Refund my card at once, {SECRET}")
            await open_rig.cache.get_or_call(f"Refund a card, {SECRET}", answer)
            assert not found
            assert SECRET not in repr(found)
            assert SECRET not in repr(open_rig.observer.events)
            assert SECRET not in repr(open_rig.cache.stats())

    with caplog.at_level(logging.DEBUG):
        asyncio.run(body())
    assert SECRET not in caplog.text


def test_an_entry_serves_the_type_that_was_stored(rig: Rig) -> None:
    async def body() -> None:
        async with rig() as open_rig:
            for prompt, value in enumerate([True, 1, 1.0, "1", b"1", None, [1], {"a": 1}]):
                await open_rig.cache.store(f"What is behind door number {prompt}?", value)
                found = await open_rig.cache.lookup(f"What is behind door number {prompt}?")
                assert found.hit
                assert (found.value, type(found.value)) == (value, type(value))

    asyncio.run(body())


def test_a_value_of_numpy_is_answered_and_not_stored(rig: Rig) -> None:
    async def body() -> None:
        async with rig() as open_rig:

            async def make() -> Any:
                return np.float64(0.5)

            assert type(await open_rig.cache.get_or_call(QUESTION, make)) is np.float64
            assert not await open_rig.cache.lookup(QUESTION)

    asyncio.run(body())
