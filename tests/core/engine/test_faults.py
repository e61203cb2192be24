"""Whatever breaks behind the cache, the caller gets the upstream's answer, soon, and somebody hears of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from semcache_core.builtin.memory import MemoryVectorStore
from semcache_core.errors import DependencyError, EmbedderUnavailable, StoreUnavailable, VerifierUnavailable
from semcache_core.plugin import hookimpl
from semcache_core.testing import CountingEmbedder, RecordingObserver
from semcache_core.types import Accept, Match, Point, Vector, Verdict

from ..conftest import remote_responses, remote_vectors

QUESTION = "How do I reset my password?"
REWORDED = "How do I reset my password"
OTHER = "Which wine goes with grilled fish?"
SHORT = {
    "limits": {
        "embed_deadline": 0.05,
        "vector_deadline": 0.05,
        "response_deadline": 0.05,
        "lookup_deadline": 0.2,
        "judge_deadline": 0.05,
        "drain": 0.1,
    }
}
MANY = 20


class Hanging(CountingEmbedder):
    """Embeds until it is told to hang."""

    hangs = False

    async def embed(self, texts: Sequence[str]) -> Vector:
        if self.hangs:
            self.calls += 1
            await asyncio.Event().wait()
        return await super().embed(texts)


class Judge:
    """A verifier that does what it is told."""

    def __init__(self, verdict: Callable[[], Awaitable[Verdict]], *, costly: bool = False) -> None:
        self.verdict = verdict
        self.costly = costly

    async def __aenter__(self) -> Judge:
        return self

    async def __aexit__(self, *error: object) -> None:
        return None

    async def verify(self, query: str, candidate: str) -> Verdict:
        return await self.verdict()


async def answer() -> str:
    return "fresh"


async def hang() -> Verdict:
    await asyncio.Event().wait()
    return Accept()


async def ask_many(cache: Any, times: int = MANY) -> float:
    """Ask different questions one after the other, check every answer, and return the seconds it took."""
    begin = time.perf_counter()
    for n in range(times):
        assert await cache.get_or_call(f"Where does the number {n} bus stop?", answer) == "fresh"
    return time.perf_counter() - begin


def stages(observer: RecordingObserver) -> set[str]:
    return {fault.stage for fault in observer.faults}


class Telling(MemoryVectorStore):
    """Has something to tell while it runs, and breaks when it is asked for the second time."""

    def __init__(self, options: MemoryVectorStore.Options) -> None:
        super().__init__(options)
        self.told: list[Sequence[str]] = [(), ["the file was set aside"]]

    def notices(self) -> Sequence[str]:
        return self.told.pop(0)


# -- embedder ---------------------------------------------------------------------------------------------------------


def test_an_embedder_that_hangs_costs_one_deadline_and_not_one_a_caller(rig: Callable[..., Any]) -> None:
    async def body() -> None:
        embedder = Hanging()
        async with rig(SHORT, embedder=embedder, vector_store=remote_vectors()) as open_rig:
            embedder.hangs = True
            assert await ask_many(open_rig.cache) < 3 * 0.05 + 0.5
            assert embedder.calls <= 2
            assert "embed" in stages(open_rig.observer)

    asyncio.run(body())


def test_callers_who_wait_for_a_hanging_embedder_together_wait_one_deadline(rig: Callable[..., Any]) -> None:
    async def body() -> None:
        embedder = Hanging()
        async with rig(SHORT, embedder=embedder, vector_store=remote_vectors()) as open_rig:
            embedder.hangs = True
            begin = time.perf_counter()
            asked = (open_rig.cache.get_or_call(f"What is flight {n} called?", answer) for n in range(MANY))
            assert await asyncio.gather(*asked) == ["fresh"] * MANY
            assert time.perf_counter() - begin < 0.2 + 0.5

    asyncio.run(body())


def test_the_deadline_of_a_look_up_counts_what_the_read_took(rig: Callable[..., Any]) -> None:
    limits = {"limits": {"response_deadline": 5.0, "embed_deadline": 5.0, "lookup_deadline": 0.8}}

    async def body() -> None:
        embedder, responses = Hanging(), remote_responses()
        parts = {"embedder": embedder, "response_store": responses, "vector_store": remote_vectors()}
        async with rig(limits, **parts) as open_rig:
            embedder.hangs = True
            responses.delay("get", seconds=0.7)
            begin = time.perf_counter()
            assert (await open_rig.cache.lookup(QUESTION)).reason == "lookup-deadline"
            assert time.perf_counter() - begin < 0.7 + 0.8

    asyncio.run(body())


@pytest.mark.parametrize(
    "error", [EmbedderUnavailable("x"), RuntimeError("x"), KeyError("x"), OSError(28, "x")], ids=repr
)
def test_an_embedder_that_fails_makes_a_miss_and_an_event(rig: Callable[..., Any], error: Exception) -> None:
    async def body() -> None:
        async with rig(SHORT, vector_store=remote_vectors()) as open_rig:
            await open_rig.cache.store(QUESTION, "stored")
            open_rig.embedder.fail = error
            assert await open_rig.cache.get_or_call(OTHER, answer) == "fresh"
            assert (await open_rig.cache.lookup(QUESTION)).value == "stored", "exact hits need no embedder"
            assert ("embed", type(error).__name__) in {(fault.stage, fault.error) for fault in open_rig.observer.faults}

    asyncio.run(body())


def test_an_embedder_that_comes_back_is_used_again(rig: Callable[..., Any]) -> None:
    async def body() -> None:
        async with rig(SHORT, vector_store=remote_vectors()) as open_rig:
            await open_rig.cache.store(QUESTION, "stored")
            open_rig.embedder.fail = TimeoutError()
            assert not await open_rig.cache.lookup(REWORDED)
            open_rig.embedder.fail = None
            assert not await open_rig.cache.lookup(REWORDED), "left alone for a while"
            open_rig.clock.advance(11)
            assert (await open_rig.cache.lookup(REWORDED)).value == "stored"

    asyncio.run(body())


@pytest.mark.parametrize("bad", [np.ones((1, 3)), np.full((1, 64), np.nan), np.ones((2, 64)), np.ones(64)], ids=repr)
def test_a_vector_of_a_wrong_shape_or_value_is_a_miss_and_never_indexed(rig: Callable[..., Any], bad: Vector) -> None:
    class Bad(CountingEmbedder):
        async def embed(self, texts: Sequence[str]) -> Vector:
            return bad.astype(np.float32)

    async def body() -> None:
        vectors = remote_vectors()
        async with rig(SHORT, embedder=Bad(), vector_store=vectors) as open_rig:
            assert await open_rig.cache.get_or_call(QUESTION, answer) == "fresh"
            await open_rig.cache.store(OTHER, "stored")
            assert await vectors.count() == 0
            assert (await open_rig.cache.lookup(OTHER)).source == "exact"
            assert "embed" in stages(open_rig.observer)

    asyncio.run(body())


# -- stores -----------------------------------------------------------------------------------------------------------


def test_a_dead_response_store_does_not_make_caller_k_wait_k_timeouts(rig: Callable[..., Any]) -> None:
    async def body() -> None:
        store = remote_responses()
        async with rig(SHORT, response_store=store) as open_rig:
            store.hang("get", "set")
            assert await ask_many(open_rig.cache) < 3 * 0.05 + 0.5
            assert store.calls["get"] <= 2
            assert "responses" in stages(open_rig.observer)

    asyncio.run(body())


def test_a_dead_vector_store_does_not_make_caller_k_wait_k_timeouts(rig: Callable[..., Any]) -> None:
    async def body() -> None:
        store = remote_vectors()
        async with rig(SHORT, vector_store=store) as open_rig:
            store.hang("search", "upsert")
            assert await ask_many(open_rig.cache) < 3 * 0.05 + 0.5
            assert store.calls["search"] <= 2
            assert "vectors" in stages(open_rig.observer)

    asyncio.run(body())


@pytest.mark.parametrize("error", [StoreUnavailable("x"), RuntimeError("x"), OSError(5, "x")], ids=repr)
def test_a_dead_vector_store_leaves_exact_hits_alone(rig: Callable[..., Any], error: Exception) -> None:
    async def body() -> None:
        store = remote_vectors()
        async with rig(SHORT, vector_store=store) as open_rig:
            await open_rig.cache.store(QUESTION, "stored")
            store.fail("search", "upsert", "delete", error=error)
            for _ in range(MANY):
                assert (await open_rig.cache.lookup(QUESTION)).value == "stored"
                assert not await open_rig.cache.lookup(REWORDED)
            assert await open_rig.cache.store(OTHER, "an answer") is False
            assert (await open_rig.cache.lookup(OTHER)).value == "an answer"

    asyncio.run(body())


@pytest.mark.parametrize("error", [StoreUnavailable("x"), RuntimeError("x"), OSError(5, "x")], ids=repr)
def test_a_dead_response_store_makes_misses_and_events(rig: Callable[..., Any], error: Exception) -> None:
    async def body() -> None:
        store = remote_responses()
        async with rig(SHORT, response_store=store) as open_rig:
            await open_rig.cache.store(QUESTION, "stored")
            store.fail("get", "set", "delete", error=error)
            assert await open_rig.cache.get_or_call(QUESTION, answer) == "fresh"
            assert await open_rig.cache.get_or_call(REWORDED, answer) == "fresh"
            assert await open_rig.cache.store(OTHER, "an answer") is False
            assert "responses" in stages(open_rig.observer)

    asyncio.run(body())


def test_a_store_that_cannot_write_still_answers_what_it_holds(rig: Callable[..., Any]) -> None:
    async def body() -> None:
        store = remote_responses()
        async with rig(SHORT, response_store=store) as open_rig:
            await open_rig.cache.store(QUESTION, "stored")
            store.fail("set", error=OSError(28, "No space left on device"))
            for n in range(MANY):
                assert await open_rig.cache.get_or_call(f"Is gate {n} open?", answer) == "fresh"
            assert (await open_rig.cache.lookup(QUESTION)).value == "stored"
            assert (await open_rig.cache.lookup(REWORDED)).value == "stored"

    asyncio.run(body())


def test_a_store_that_cannot_delete_is_read_all_the_same(rig: Callable[..., Any]) -> None:
    async def main() -> None:
        responses, vectors = remote_responses(), remote_vectors()
        async with rig(SHORT, response_store=responses, vector_store=vectors) as open_rig:
            for question in (QUESTION, OTHER):
                await open_rig.cache.store(question, "kept")
            responses.hang("delete")
            vectors.hang("delete")
            with pytest.raises(DependencyError):
                await open_rig.cache.reject(await open_rig.cache.lookup(OTHER))
            assert (await open_rig.cache.lookup(QUESTION)).source == "exact"
            assert (await open_rig.cache.lookup(REWORDED)).source == "semantic"

    asyncio.run(main())


def test_a_store_that_comes_back_is_used_again(rig: Callable[..., Any]) -> None:
    async def body() -> None:
        store = remote_responses()
        async with rig(SHORT, response_store=store) as open_rig:
            await open_rig.cache.store(QUESTION, "stored")
            store.hang("get")
            assert not await open_rig.cache.lookup(QUESTION)
            store.heal()
            open_rig.clock.advance(11)
            assert (await open_rig.cache.lookup(QUESTION)).value == "stored"

    asyncio.run(body())


def test_a_write_that_hangs_does_not_hold_up_closing(rig: Callable[..., Any]) -> None:
    async def body() -> None:
        store = remote_responses()
        begin = time.perf_counter()
        async with rig({"limits": {"drain": 0.1, "response_deadline": 30.0}}, response_store=store) as open_rig:
            store.hang("set")
            assert await open_rig.cache.get_or_call(QUESTION, answer) == "fresh"
        assert time.perf_counter() - begin < 5

    asyncio.run(body())


def test_a_full_write_queue_costs_hits_and_no_answer(rig: Callable[..., Any]) -> None:
    async def body() -> None:
        store = remote_responses()
        limits = {"write_queue": 3, "drain": 0.1}
        async with rig({"limits": limits}, response_store=store) as open_rig:
            store.hang("set")
            asked = (open_rig.cache.get_or_call(f"Is gate {n} open?", answer) for n in range(MANY))
            assert await asyncio.gather(*asked) == ["fresh"] * MANY
            assert "write-queue" in stages(open_rig.observer)

    asyncio.run(body())


def test_a_store_that_cannot_say_whether_a_scope_is_empty_makes_a_miss(rig: Callable[..., Any]) -> None:
    class Forgetful(MemoryVectorStore):
        def has_scope(self, scope: bytes) -> bool:
            raise StoreUnavailable("no route to the index")

    async def body() -> None:
        async with rig(SHORT, vector_store=Forgetful(Forgetful.Options())) as open_rig:
            assert await open_rig.cache.get_or_call(QUESTION, answer) == "fresh"

    asyncio.run(body())


def test_an_entry_that_cannot_be_read_is_a_miss_and_deleted(rig: Callable[..., Any]) -> None:
    async def body() -> None:
        store = remote_responses()
        async with rig(SHORT, response_store=store) as open_rig:
            await open_rig.cache.store(QUESTION, "stored")
            ((id, _),) = await store.scan()
            await store.set(id, b"\x01 torn", keep_until=None, tags=())
            assert not await open_rig.cache.lookup(QUESTION)
            await asyncio.sleep(0.01)
            assert await store.count() == 0

    asyncio.run(body())


def test_an_entry_of_a_newer_version_is_a_miss_and_stays(rig: Callable[..., Any]) -> None:
    async def body() -> None:
        store = remote_responses()
        async with rig(SHORT, response_store=store) as open_rig:
            await open_rig.cache.store(QUESTION, "stored")
            ((id, stored),) = await store.scan()
            # The first byte opens the array, the second is the version.
            newer = stored.data[:1] + bytes([stored.data[1] + 1]) + stored.data[2:]
            await store.set(id, newer, keep_until=None, tags=())
            assert not await open_rig.cache.lookup(QUESTION)
            await asyncio.sleep(0.01)
            assert await store.count() == 1

    asyncio.run(body())


def test_a_vector_whose_answer_is_gone_is_a_miss_and_pruned(rig: Callable[..., Any]) -> None:
    async def body() -> None:
        responses, vectors = remote_responses(), remote_vectors()
        async with rig(SHORT, response_store=responses, vector_store=vectors) as open_rig:
            await open_rig.cache.store(QUESTION, "stored")
            ((id, _),) = await responses.scan()
            await responses.delete([id])
            assert not await open_rig.cache.lookup(REWORDED)
            await asyncio.sleep(0.01)
            assert await vectors.count() == 0

    asyncio.run(body())


def test_an_answer_of_another_scope_is_never_served_even_if_the_index_names_it(rig: Callable[..., Any]) -> None:
    class Lying(MemoryVectorStore):
        async def upsert(self, points: Sequence[Point]) -> None:
            await super().upsert([msgspec.structs.replace(point, scope=b"one for all") for point in points])

        async def search(self, vector: Vector, *, scope: bytes, **rest: Any) -> Any:
            return await super().search(vector, scope=b"one for all", **rest)

        def has_scope(self, scope: bytes) -> bool:
            return True

    async def body() -> None:
        async with rig(SHORT, vector_store=Lying(Lying.Options())) as open_rig:
            await open_rig.cache.store(QUESTION, "ann's answer", context={"user": "ann"})
            assert not await open_rig.cache.lookup(REWORDED, context={"user": "bob"})
            assert not await open_rig.cache.lookup(REWORDED, namespace="another")

    asyncio.run(body())


@pytest.mark.parametrize("answers", [None, [], ["x", "y"], [("id", 0.99)], 7, [None]], ids=repr)
@pytest.mark.parametrize("method", ["get", "search"])
def test_a_store_that_answers_nonsense_makes_a_miss(rig: Callable[..., Any], method: str, answers: Any) -> None:
    async def nonsense(*_: object, **__: object) -> Any:
        return answers

    async def body() -> None:
        responses, vectors = remote_responses(), remote_vectors()
        async with rig(SHORT, response_store=responses, vector_store=vectors) as open_rig:
            await open_rig.cache.store(QUESTION, "stored")
            setattr(responses if method == "get" else vectors, method, nonsense)
            assert await open_rig.cache.get_or_call(REWORDED, answer) == "fresh"

    asyncio.run(body())


@pytest.mark.parametrize("similarity", [float("nan"), float("inf"), None, "0.99"], ids=repr)
def test_a_similarity_that_is_no_number_serves_nothing(rig: Callable[..., Any], similarity: Any) -> None:
    class Odd(MemoryVectorStore):
        async def search(self, vector: Vector, **options: Any) -> Any:
            found = await super().search(vector, **options)
            return [Match(id=match.id, similarity=similarity) for match in found]

    async def body() -> None:
        async with rig(SHORT, vector_store=Odd(Odd.Options())) as open_rig:
            await open_rig.cache.store(QUESTION, "stored")
            assert await open_rig.cache.get_or_call(REWORDED, answer) == "fresh"

    asyncio.run(body())


def test_invalidating_in_a_store_that_is_dead_says_so(rig: Callable[..., Any]) -> None:
    async def body() -> None:
        store = remote_responses()
        async with rig(SHORT, response_store=store) as open_rig:
            await open_rig.cache.store(QUESTION, "stored", tags=["faq"])
            store.fail("invalidate")
            with pytest.raises(DependencyError):
                await open_rig.cache.invalidate(tag="faq")

    asyncio.run(body())


@pytest.mark.parametrize("way", ["reject", "invalidate"])
def test_a_dead_index_does_not_keep_an_entry_from_being_forgotten(rig: Callable[..., Any], way: str) -> None:
    async def body() -> None:
        store = remote_vectors()
        async with rig(SHORT, vector_store=store) as open_rig:
            await open_rig.cache.store(QUESTION, "wrong")
            found = await open_rig.cache.lookup(QUESTION)
            store.fail("delete", times=1)
            if way == "reject":
                await open_rig.cache.reject(found)
            else:
                await open_rig.cache.invalidate(entry_id=found.entry_id)
            assert not await open_rig.cache.lookup(QUESTION)
            assert not await open_rig.cache.lookup(REWORDED)
            assert "write_vectors" in stages(open_rig.observer)

    asyncio.run(body())


@pytest.mark.parametrize("way", ["reject", "invalidate"])
def test_forgetting_in_a_response_store_that_is_dead_says_so(rig: Callable[..., Any], way: str) -> None:
    async def body() -> None:
        store = remote_responses()
        async with rig(SHORT, response_store=store) as open_rig:
            await open_rig.cache.store(QUESTION, "wrong")
            found = await open_rig.cache.lookup(QUESTION)
            store.fail("delete")
            with pytest.raises(DependencyError):
                await (
                    open_rig.cache.reject(found)
                    if way == "reject"
                    else open_rig.cache.invalidate(entry_id=found.entry_id)
                )

    asyncio.run(body())


# -- verifiers, vetoes, observers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [VerifierUnavailable("x"), RuntimeError("x"), TimeoutError()], ids=repr)
@pytest.mark.parametrize("costly", [False, True])
def test_a_verifier_that_raises_rejects(rig: Callable[..., Any], error: Exception, costly: bool) -> None:
    async def raise_it() -> Verdict:
        raise error

    async def body() -> None:
        # A threshold just below the similarity, so that a costly judge is asked, too.
        config = SHORT | {"semcache": {"threshold": 0.98}}
        async with rig(config, verifiers=[Judge(raise_it, costly=costly)]) as open_rig:
            await open_rig.cache.store(QUESTION, "stored")
            found = await open_rig.cache.lookup(REWORDED)
            assert not found
            assert "verify" in stages(open_rig.observer)
            assert (await open_rig.cache.lookup(QUESTION)).value == "stored", "exact hits are not verified"

    asyncio.run(body())


@pytest.mark.parametrize("verdict", [None, True, "accept", Accept], ids=repr)
@pytest.mark.parametrize("costly", [False, True])
def test_a_verdict_that_is_none_rejects(rig: Callable[..., Any], verdict: Any, costly: bool) -> None:
    async def say() -> Any:
        return verdict

    async def body() -> None:
        config = SHORT | {"semcache": {"threshold": 0.98}}
        async with rig(config, verifiers=[Judge(say, costly=costly)]) as open_rig:
            await open_rig.cache.store(QUESTION, "stored")
            assert await open_rig.cache.get_or_call(REWORDED, answer) == "fresh"

    asyncio.run(body())


@pytest.mark.parametrize("costly", [False, True])
def test_a_verifier_that_hangs_rejects_within_its_time(rig: Callable[..., Any], costly: bool) -> None:
    async def body() -> None:
        config = SHORT | {"semcache": {"threshold": 0.98}}
        async with rig(config, verifiers=[Judge(hang, costly=costly)]) as open_rig:
            await open_rig.cache.store(QUESTION, "stored")
            begin = time.perf_counter()
            assert not await open_rig.cache.lookup(REWORDED)
            assert time.perf_counter() - begin < 0.2 + 0.5

    asyncio.run(body())


class Grumbling:
    """A plugin whose hooks all raise."""

    @hookimpl
    def semcache_observe(self, event: object) -> None:
        raise RuntimeError("cannot reach the metrics server")

    @hookimpl
    def semcache_may_store(self, query: object, entry: object) -> bool:
        raise RuntimeError("cannot judge")


def test_an_observer_that_raises_is_counted_and_reaches_nobody(rig: Callable[..., Any]) -> None:
    class Observer:
        semcache_observe = Grumbling.semcache_observe

    async def body() -> None:
        async with rig(SHORT, plugins=[Observer()]) as open_rig:
            assert await open_rig.cache.get_or_call(QUESTION, answer) == "fresh"
            assert await open_rig.cache.get_or_call(QUESTION, answer) == "fresh"
            stats = open_rig.cache.stats()
            assert (stats.hits["exact"], stats.misses) == (1, 1)
            assert stats.observer_errors >= 2

    asyncio.run(body())


def test_a_veto_that_raises_stores_nothing_and_reaches_nobody(rig: Callable[..., Any]) -> None:
    class Veto:
        semcache_may_store = Grumbling.semcache_may_store

    async def body() -> None:
        async with rig(SHORT, plugins=[Veto()]) as open_rig:
            assert await open_rig.cache.get_or_call(QUESTION, answer) == "fresh"
            assert not await open_rig.cache.lookup(QUESTION)

    asyncio.run(body())


# -- callers who leave ------------------------------------------------------------------------------------------------


def test_a_caller_who_leaves_during_an_embedding_takes_nobody_along(rig: Callable[..., Any]) -> None:
    async def body() -> None:
        async with rig(embedder=CountingEmbedder(delay=0.05)) as open_rig:
            await open_rig.cache.store(QUESTION, "stored")
            leaving = asyncio.create_task(open_rig.cache.lookup(REWORDED))
            staying = asyncio.create_task(open_rig.cache.lookup(REWORDED))
            await asyncio.sleep(0.02)
            leaving.cancel()
            assert (await staying).value == "stored"
            with pytest.raises(asyncio.CancelledError):
                await leaving

    asyncio.run(body())


@pytest.mark.parametrize("stage", ["get", "search", "embed"])
def test_callers_who_leave_do_not_open_a_breaker(rig: Callable[..., Any], stage: str) -> None:
    async def body() -> None:
        responses, vectors = remote_responses(), remote_vectors()
        async with rig(response_store=responses, vector_store=vectors) as open_rig:
            await open_rig.cache.store(QUESTION, "stored")
            if stage == "embed":
                open_rig.embedder.delay = 0.05
            else:
                (responses if stage == "get" else vectors).delay(stage, seconds=0.05)
            for n in range(10):
                leaving = asyncio.create_task(open_rig.cache.lookup(f"{REWORDED}, asked for the {n}th time"))
                await asyncio.sleep(0.005)
                leaving.cancel()
                await asyncio.gather(leaving, return_exceptions=True)
            responses.heal()
            vectors.heal()
            open_rig.embedder.delay = 0.0
            assert (await open_rig.cache.lookup(REWORDED)).value == "stored"
            assert not open_rig.observer.faults

    asyncio.run(body())


def test_what_a_store_has_to_tell_while_it_runs_is_told_and_its_fault_stops_nothing(
    rig: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semcache_core.engine.maintenance._NOTICES_EVERY", 0.01)

    async def body() -> None:
        async with rig(vector_store=Telling(MemoryVectorStore.Options())) as open_rig:
            while "notices" not in stages(open_rig.observer):
                await asyncio.sleep(0.01)
            told = [notice.message for notice in open_rig.observer.notices if notice.code == "Telling"]
            assert told == ["the file was set aside"]
            assert await open_rig.cache.get_or_call(QUESTION, answer) == "fresh"

    asyncio.run(body())
