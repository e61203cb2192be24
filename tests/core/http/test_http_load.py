"""One caller's load is its own: what others wait for, what they lose, and what a stranger can do to them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from itertools import count
from typing import Any, Self

import pytest

from semcache_core.builtin.memory import MemoryResponseStore, MemoryVectorStore
from semcache_core.errors import AnswerAborted, EmbedderUnavailable, VerifierUnavailable
from semcache_core.testing import CountingEmbedder, FlakyStore
from semcache_core.types import Accept, Match, Vector, Verdict

from .asgi_client import Client, Rig, Upstream, chat, completion, says, serving

BOB = [(b"authorization", b"Bearer bob")]
QUESTION = "How do I reset my password on this page?"
SLOW = 0.02
"""Seconds of one embedding."""
AGAIN = {"threshold": 0.99}


class OneByOne(CountingEmbedder):
    """Takes one text a call, and fails on texts with the word "poison"."""

    batch_invariant = False

    async def embed(self, texts: Sequence[str]) -> Vector:
        """Return the vectors, unless a text is poison. Raises EmbedderUnavailable."""
        vectors = await super().embed(texts)
        if any("poison" in text for text in texts):
            raise EmbedderUnavailable("this text is not for me")
        return vectors


def waited_for() -> FlakyStore:
    """Return a response store all of whose calls have to be waited for."""
    return FlakyStore(MemoryResponseStore(MemoryResponseStore.Options()), without=("get_nowait", "set_nowait"))


async def settled(rig: Rig) -> None:
    """Wait until the queued writes are written."""
    await rig.cache.lifecycle.here().engine._writes.drain(5.0)


@contextlib.asynccontextmanager
async def flooding(rig: Rig, *, callers: int = 100, **members: Any) -> AsyncIterator[None]:
    """Let bob ask ever new questions, ``callers`` at a time, while the block runs."""
    bob, numbers = Client(rig.client.app, headers=BOB), count()

    async def ask() -> None:
        while True:
            await bob.chat(f"Which of these numbers is larger, {next(numbers)} or nine?", **members)

    tasks = [asyncio.create_task(ask()) for _ in range(callers)]
    await asyncio.sleep(5 * SLOW)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def both_known(rig: Rig) -> Client:
    """Store an answer of each caller, so that further texts are compared; return bob's client."""
    bob = Client(rig.client.app, headers=BOB)
    await asyncio.gather(rig.client.chat(QUESTION), bob.chat(QUESTION))
    await settled(rig)
    return bob


def test_a_flood_of_one_callers_texts_costs_anothers_miss_a_turn_and_not_its_deadline() -> None:
    async def main() -> None:
        async with serving(embedder=OneByOne(), semcache=AGAIN) as rig:
            await both_known(rig)
            rig.embedder.delay = SLOW
            loop = asyncio.get_running_loop()
            async with flooding(rig):
                began = loop.time()
                await rig.client.chat("Where do I find the invoice of last month?")
                # Its turn comes after the text that is embedded, one of bob's look-ups and one of his writes.
                assert loop.time() - began < 10 * SLOW
            assert rig.decisions[-1][1] == "below-threshold" or ("miss", "below-threshold") in rig.decisions

    asyncio.run(main())


def test_texts_that_nobody_waits_for_any_more_are_not_embedded() -> None:
    async def main() -> None:
        broken = False

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            # Nothing is stored, so no text is embedded for that either.
            await says(status=500 if broken else 200)(scope, receive, send)

        limits = {"lookup_deadline": 3 * SLOW}
        async with serving(answer, embedder=OneByOne(), semcache=AGAIN, limits=limits) as rig:
            bob = await both_known(rig)
            rig.embedder.delay, broken = SLOW, True
            before = len(rig.embedder.texts)
            await asyncio.gather(*(bob.chat(f"Is {number} larger than nine?") for number in range(50)))
            assert rig.decisions.count(("miss", "lookup-deadline")) > 40
            await asyncio.sleep(20 * SLOW)
            assert len(rig.embedder.texts) - before < 8

    asyncio.run(main())


def test_a_full_embedding_queue_refuses_the_caller_that_filled_it() -> None:
    async def main() -> None:
        async with serving(embedder=OneByOne(), semcache=AGAIN, limits={"embed_queue": 8}) as rig:
            bob = await both_known(rig)
            rig.embedder.delay = SLOW
            flood = [asyncio.create_task(bob.chat(f"Is {number} larger than nine?")) for number in range(40)]
            await asyncio.sleep(SLOW / 2)
            await rig.client.chat("Where do I find the invoice of last month?")
            await asyncio.gather(*flood)
            assert rig.decisions.count(("miss", "embedder-busy")) >= 30
            assert rig.cache.stats().errors["embed-queue"] >= 30
            assert rig.decisions.count(("miss", "below-threshold")) == 41 - rig.decisions.count(
                ("miss", "embedder-busy")
            )

    asyncio.run(main())


def test_ever_new_scopes_of_one_caller_leave_room_for_anothers_answers() -> None:
    async def main() -> None:
        async with serving(
            embedder=OneByOne(),
            semcache=AGAIN,
            limits={"write_queue": 30, "drain": 0.0},
            components={"response_store": waited_for()},
        ) as rig:
            bob = Client(rig.client.app, headers=BOB)
            rig.embedder.delay = 10.0
            for number in range(100):
                await bob.chat(f"Is {number} larger than nine?", seed=number)
                await asyncio.sleep(0)
            assert rig.cache.stats().errors["vector-queue"] > 0
            assert await rig.asked_twice(text="What is the capital of France?") == "HIT"
            assert await rig.asked_twice(text="What is the capital of France?", temperature=2) == "HIT"
            await asyncio.sleep(0.05)
            # Every response is stored: none waited for a vector.
            assert await rig.cache.lifecycle.here().engine.parts.responses.count() == 102

    asyncio.run(main())


def test_one_callers_large_answers_leave_room_for_anothers() -> None:
    async def main() -> None:
        store = waited_for()
        limits = {"write_queue_bytes": 100_000, "drain": 0.0, "response_deadline": 30.0}
        answer = says(completion("a" * 10_000))
        exact = {"match": "exact"}
        async with serving(answer, semcache=exact, limits=limits, components={"response_store": store}) as rig:
            bob = Client(rig.client.app, headers=BOB)
            store.hang("set")
            for number in range(100):
                await bob.chat(f"Is {number} larger than nine?")
                await asyncio.sleep(0)
            assert rig.cache.stats().errors["write-queue"] > 0
            assert await rig.asked_twice() == "HIT"
            store.heal()

    asyncio.run(main())


def test_a_strangers_refused_credential_leaves_the_flights_of_others_joinable() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            if b"bogus" in dict(scope["headers"])[b"authorization"]:
                await says({"error": "no"}, status=401)(scope, receive, send)
                return
            await gate.wait()
            await says()(scope, receive, send)

        upstream = Upstream(answer)
        async with serving(upstream) as rig:
            leading = asyncio.create_task(rig.client.chat())
            await asyncio.sleep(0.01)
            stranger = Client(rig.client.app, headers=[(b"authorization", b"Bearer bogus")])
            assert (await stranger.chat()).status == 401
            waiting = asyncio.create_task(rig.client.chat())
            await asyncio.sleep(0.01)
            gate.set()
            await leading
            assert "collapsed" in ((await waiting).cache_status or "")
            assert len(upstream.calls) == 2

    asyncio.run(main())


def test_a_refused_credential_ends_the_flights_and_answers_of_its_own_partition() -> None:
    async def main() -> None:
        gate, refused = asyncio.Event(), False

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            if refused:
                await says({"error": "no"}, status=401)(scope, receive, send)
                return
            await gate.wait()
            await says()(scope, receive, send)

        upstream = Upstream(answer)
        async with serving(upstream) as rig:
            leading = asyncio.create_task(rig.client.chat())
            await asyncio.sleep(0.01)
            refused = True
            assert (await rig.client.chat("Is this key still good here?")).status == 401
            assert (await rig.client.chat()).status == 401, "not joined"
            gate.set()
            await leading
            await settled(rig)
            assert (await rig.client.chat()).cache == "MISS", "not stored"

    asyncio.run(main())


def test_many_refused_strangers_share_few_writes() -> None:
    async def main() -> None:
        store = waited_for()
        async with serving(says({"error": "no"}, status=401), components={"response_store": store}) as rig:
            store.delay("invalidate", seconds=0.05)
            strangers = [Client(rig.client.app, headers=[(b"authorization", b"Bearer %d" % n)]) for n in range(200)]
            await asyncio.gather(*(stranger.chat() for stranger in strangers))
            await asyncio.sleep(0.2)
            assert 1 <= store.calls["invalidate"] <= 3

    asyncio.run(main())


def test_texts_of_one_caller_that_the_embedder_fails_on_do_not_close_it_to_others() -> None:
    async def main() -> None:
        async with serving(embedder=OneByOne(), semcache=AGAIN, limits={"breaker_open": 60.0}) as rig:
            bob = await both_known(rig)
            for number in range(20):
                await bob.chat(f"Is the poison number {number} for me?")
            assert rig.decisions[-1] == ("miss", "embedder-unavailable")
            tried = len(rig.embedder.texts)
            await bob.chat("Is the poison number 99 for me?")
            assert len(rig.embedder.texts) == tried, "bob's own texts are not tried for a while"
            await rig.client.chat("Where do I find the invoice of last month?")
            assert rig.decisions[-1] == ("miss", "below-threshold")

    asyncio.run(main())


def test_a_poisoned_batch_mate_costs_another_caller_one_more_call() -> None:
    async def main() -> None:
        class Batched(OneByOne):
            batch_invariant = True

        async with serving(embedder=Batched(), semcache=AGAIN, limits={"breaker_open": 60.0}) as rig:
            bob = await both_known(rig)
            rig.embedder.delay = SLOW
            asked = [asyncio.create_task(bob.chat(f"Is the poison number {n} for me?")) for n in range(30)]
            await asyncio.sleep(SLOW / 2)
            began = asyncio.get_running_loop().time()
            await rig.client.chat("Where do I find the invoice of last month?")
            assert asyncio.get_running_loop().time() - began < 10 * SLOW
            assert ("miss", "below-threshold") in rig.decisions
            await asyncio.gather(*asked)

    asyncio.run(main())


def test_a_dead_embedder_is_closed_to_all_after_the_second_caller_fails() -> None:
    async def main() -> None:
        async with serving(embedder=OneByOne(), semcache=AGAIN, limits={"embed_deadline": 0.01}) as rig:
            bob = await both_known(rig)
            rig.embedder.delay = 5.0
            await rig.client.chat("Where do I find the invoice of last month?")
            await bob.chat("Where do I find the invoice of last month?")
            carl = Client(rig.client.app, headers=[(b"authorization", b"Bearer carl")])
            tried = len(rig.embedder.texts)
            await carl.chat(QUESTION)
            await settled(rig)
            await carl.chat("Where do I find the invoice of last month?")
            assert len(rig.embedder.texts) == tried

    asyncio.run(main())


MOST, PIECE, PIECES = 65_536, b"x" * 4096, 500


def large(gate: asyncio.Event) -> Upstream:
    """Return an application whose answer is thirty times as large as ``MOST``, once the gate is open."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await gate.wait()
        for _ in range(PIECES):
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return Upstream(answer)


async def never(message: Any) -> None:
    """Read no piece of the body."""
    if message.get("body"):
        await asyncio.sleep(60)


@pytest.mark.parametrize("others", [0, 3])
def test_a_waiter_that_does_not_read_is_cut_off_and_holds_no_more_than_max_body(others: int) -> None:
    async def main() -> None:
        gate = asyncio.Event()
        upstream = large(gate)
        async with serving(upstream, semcache={"max_body": MOST}) as rig:
            leading = asyncio.create_task(rig.client.chat())
            await asyncio.sleep(0.01)
            stuck = rig.client.open("/v1/chat/completions", [json.dumps(chat()).encode()])
            stuck.on_send = never
            waiting = stuck.start()
            reading = [asyncio.create_task(rig.client.chat()) for _ in range(others)]
            await asyncio.sleep(0.01)
            ((flight,),) = [table.values() for table in rig.cache.lifecycle.here().engine.flights._flying.values()]
            gate.set()
            async with asyncio.timeout(5):
                for response in [await leading, *[await other for other in reading]]:
                    assert response.complete
                    assert len(response.body) == PIECES * len(PIECE)
            assert flight._held <= MOST + len(PIECE)
            assert flight.waiting == 0
            assert len(upstream.calls) == 1
            waiting.cancel()
            await asyncio.wait((waiting,))

    asyncio.run(main())


def test_a_leader_whose_client_does_not_read_holds_up_no_waiter() -> None:
    async def main() -> None:
        gate = asyncio.Event()
        upstream = large(gate)
        async with serving(upstream, semcache={"max_body": MOST}) as rig:
            stuck = rig.client.open("/v1/chat/completions", [json.dumps(chat()).encode()])
            stuck.on_send = never
            leading = stuck.start()
            await asyncio.sleep(0.01)
            waiting = [asyncio.create_task(rig.client.chat()) for _ in range(3)]
            await asyncio.sleep(0.01)
            gate.set()
            async with asyncio.timeout(5):
                for response in [await each for each in waiting]:
                    assert response.complete
                    assert len(response.body) == PIECES * len(PIECE)
                with pytest.raises(AnswerAborted):
                    await leading
            assert len(upstream.calls) == 1

    asyncio.run(main())


def test_a_text_that_was_not_embedded_in_time_is_not_embedded_for_its_answer_either() -> None:
    async def main() -> None:
        async with serving(embedder=OneByOne(), semcache=AGAIN, limits={"lookup_deadline": 3 * SLOW}) as rig:
            bob = await both_known(rig)
            rig.embedder.delay = SLOW
            before = len(rig.embedder.texts)
            await asyncio.gather(*(bob.chat(f"Is {number} larger than nine?") for number in range(50)))
            await settled(rig)
            assert len(rig.embedder.texts) - before < 8
            assert (await bob.chat("Is 49 larger than nine?")).cache == "HIT", "exact"

    asyncio.run(main())


def test_the_refreshes_of_one_caller_leave_room_for_anothers() -> None:
    async def main() -> None:
        gate = asyncio.Event()
        gate.set()

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            await gate.wait()
            await says()(scope, receive, send)

        upstream = Upstream(answer)
        stale = {"match": "exact", "ttl": 60, "stale_while_revalidate": 600}
        async with serving(upstream, semcache=stale, limits={"refreshes": 8}) as rig:
            bob = Client(rig.client.app, headers=BOB)
            texts = [f"Is {number} larger than nine?" for number in range(20)]
            for text in texts:
                await bob.chat(text)
            await rig.client.chat()
            rig.clock.advance(120)
            gate.clear()
            calls = len(upstream.calls)
            assert {(await bob.chat(text)).cache for text in texts} == {"STALE"}
            await asyncio.sleep(0.01)
            assert len(upstream.calls) - calls == 2, "a quarter"
            assert (await rig.client.chat()).cache == "STALE"
            await asyncio.sleep(0.01)
            assert len(upstream.calls) - calls == 3
            gate.set()
            await asyncio.sleep(0.01)
            assert (await bob.chat(texts[-1])).cache == "STALE"
            await asyncio.sleep(0.01)
            assert (await bob.chat(texts[-1])).cache == "HIT", "those that end make room"

    asyncio.run(main())


def test_a_scope_of_one_caller_that_is_slow_to_search_does_not_close_the_store_to_others() -> None:
    class Uneven(MemoryVectorStore):
        slow: bytes | None = None

        async def search(self, vector: Vector, *, scope: bytes, **options: Any) -> Sequence[Match]:
            if self.slow is None:
                self.slow = scope
            if scope == self.slow:
                await asyncio.sleep(60)
            return await super().search(vector, scope=scope, **options)

    async def main() -> None:
        limits = {"vector_deadline": 0.02, "breaker_open": 60.0}
        store = Uneven(MemoryVectorStore.Options())
        async with serving(semcache=AGAIN, limits=limits, components={"vector_store": store}) as rig:
            bob = await both_known(rig)
            for number in range(3):
                await bob.chat(f"Is {number} larger than nine?")
                assert rig.decisions[-1] == ("miss", "store-unavailable")
            await rig.client.chat("Where do I find the invoice of last month?")
            assert rig.decisions[-1] == ("miss", "below-threshold")

    asyncio.run(main())


def test_texts_of_one_caller_that_a_costly_verifier_fails_on_do_not_close_it_to_others() -> None:
    class Judge:
        costly = True

        async def verify(self, query: str, candidate: str) -> Verdict:
            if "poison" in query:
                raise VerifierUnavailable("not this text")
            return Accept()

        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *exc: object) -> None: ...

    async def main() -> None:
        near = {"threshold": 0.9}  # Just below both similarities: a costly verifier is asked in doubt only.
        async with serving(semcache=near, limits={"breaker_open": 60.0}, components={"verifiers": [Judge()]}) as rig:
            bob = await both_known(rig)
            for _ in range(8):
                await bob.chat(f"{QUESTION} poison", headers=[(b"semcache-control", b"ttl=0")])
            assert rig.decisions[-1] == ("miss", "verifier-error")
            assert (await rig.client.chat(f"{QUESTION} please")).cache == "HIT"

    asyncio.run(main())


def test_one_callers_texts_do_not_displace_the_embeddings_of_others() -> None:
    async def main() -> None:
        async with serving(semcache=AGAIN, limits={"embedding_cache": 20}) as rig:
            bob = await both_known(rig)
            asked = "Where do I find the invoice of last month?"
            await rig.client.chat(asked, headers=[(b"cache-control", b"no-store")])
            for number in range(60):
                await bob.chat(f"Is {number} larger than nine?")
            before = rig.embedder.texts.count(asked)
            await rig.client.chat(asked, headers=[(b"cache-control", b"no-store")])
            assert rig.embedder.texts.count(asked) == before

    asyncio.run(main())


def test_searches_that_find_the_same_unusable_entry_delete_it_once() -> None:
    async def main() -> None:
        store = FlakyStore(MemoryVectorStore(MemoryVectorStore.Options()))
        near = {"threshold": 0.8}
        async with serving(says(status=200), semcache=near, components={"vector_store": store}) as rig:
            await rig.client.chat(QUESTION)
            await settled(rig)
            engine = rig.cache.lifecycle.here().engine
            responses = engine.parts.responses
            ((entry_id, _),) = await responses.scan()
            await responses.delete([entry_id])
            store.delay("delete", seconds=0.1)
            for number in range(20):
                await rig.client.chat(f"{QUESTION} {number}", headers=[(b"cache-control", b"no-store")])
            await asyncio.sleep(0)
            assert store.calls["delete"] == 1

    asyncio.run(main())
