"""One caller's load is its own: what others wait for, what they lose, and what a stranger can do to them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from itertools import count
from typing import Any

import pytest

from semcache_core.builtin.memory import MemoryResponseStore
from semcache_core.errors import EmbedderUnavailable
from semcache_core.testing import CountingEmbedder, FlakyStore
from semcache_core.types import Vector

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


@pytest.mark.parametrize("others", [0, 3])
def test_a_waiter_that_does_not_read_is_cut_off_and_holds_no_more_than_max_body(others: int) -> None:
    piece, pieces, most = b"x" * 4096, 500, 65_536

    async def main() -> None:
        gate = asyncio.Event()

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
            )
            await gate.wait()
            for _ in range(pieces):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        async def never(message: Any) -> None:
            if message.get("body"):
                await asyncio.sleep(60)

        upstream = Upstream(answer)
        async with serving(upstream, semcache={"max_body": most}) as rig:
            leading = asyncio.create_task(rig.client.chat())
            await asyncio.sleep(0.01)
            stuck = rig.client.open("/v1/chat/completions", [json.dumps(chat()).encode()])
            stuck.on_send = never
            waiting = stuck.start()
            reading = [asyncio.create_task(rig.client.chat()) for _ in range(others)]
            await asyncio.sleep(0.01)
            ((flight,),) = [table.values() for table in rig.cache.lifecycle.here().engine.flights._flying.values()]
            gate.set()
            began = asyncio.get_running_loop().time()
            assert len((await leading).body) == pieces * len(piece)
            assert asyncio.get_running_loop().time() - began < 2
            for other in reading:
                response = await other
                assert response.complete
                assert len(response.body) == pieces * len(piece)
            assert flight._held <= most + len(piece)
            assert flight.waiting == 0
            assert len(upstream.calls) == 1
            waiting.cancel()
            await asyncio.wait((waiting,))

    asyncio.run(main())
