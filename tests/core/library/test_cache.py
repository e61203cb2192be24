"""``SemanticCache`` as a Python program sees it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from semcache_core import DoNotCache, SemanticCache
from semcache_core.builtin.memory import MemoryResponseStore, MemoryVectorStore
from semcache_core.config import load
from semcache_core.engine.semantic import NEIGHBOURS
from semcache_core.errors import PluginError
from semcache_core.testing import CountingEmbedder, FlakyStore

from ..conftest import remote_responses, remote_vectors

ASKED = "How do I change the address of my order?"
REWORDED = "how do I change the address of my order"
OTHER = "Which payment methods are accepted in Portugal?"


def test_an_equal_prompt_is_answered_without_an_embedding(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            await r.cache.store(ASKED, "In your account.")
            embedded = len(r.embedder.texts)
            found = await r.cache.lookup(ASKED)
            assert (found.hit, found.value, found.source, found.similarity) == (True, "In your account.", "exact", 1.0)
            assert len(r.embedder.texts) == embedded

    asyncio.run(scenario())


def test_the_same_question_in_other_words_is_answered(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            await r.cache.store(ASKED, {"text": "In your account."})
            found = await r.cache.lookup(REWORDED)
            assert found
            assert found.value == {"text": "In your account."}
            assert found.source == "semantic"
            assert found.similarity == pytest.approx(1.0, abs=1e-3)

    asyncio.run(scenario())


def test_a_different_question_is_a_miss_with_a_reason(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            await r.cache.store(ASKED, "x")
            found = await r.cache.lookup(OTHER)
            assert not found
            assert (found.value, found.reason) == (None, "below-threshold")

    asyncio.run(scenario())


def test_a_swapped_number_is_a_miss_that_names_the_guard(rig: Any) -> None:
    async def scenario() -> None:
        async with rig({"semcache": {"threshold": 0.5}}) as r:
            await r.cache.store("Where is my order 123 shipped from?", "Lisbon")
            found = await r.cache.lookup("Where is my order 987 shipped from?")
            assert (found.hit, found.reason) == (False, "numbers")

    asyncio.run(scenario())


def test_answers_are_shared_only_between_equal_contexts(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            await r.cache.store(ASKED, "x", context={"tenant": 1})
            assert not await r.cache.lookup(ASKED, context={"tenant": 2})
            assert not await r.cache.lookup(ASKED)
            assert not await r.cache.lookup(REWORDED, context={"tenant": True})
            assert await r.cache.lookup(REWORDED, context={"tenant": 1})

    asyncio.run(scenario())


def test_namespaces_share_nothing(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            await r.cache.store(ASKED, "x", namespace="a")
            assert not await r.cache.lookup(ASKED, namespace="b")
            assert not await r.cache.lookup(REWORDED)
            assert await r.cache.lookup(REWORDED, namespace="a")

    asyncio.run(scenario())


def test_no_two_callers_share_a_mutable_value(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            await r.cache.store(ASKED, {"list": [1]})
            (await r.cache.lookup(ASKED)).value["list"].append(2)
            assert (await r.cache.lookup(ASKED)).value == {"list": [1]}

    asyncio.run(scenario())


def test_a_caller_can_only_tighten_the_threshold(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            await r.cache.store(ASKED, "x")
            assert not await r.cache.lookup(OTHER, threshold=0.0)
            assert not await r.cache.lookup(REWORDED + " please", threshold=0.9999)

    asyncio.run(scenario())


@pytest.mark.parametrize("threshold", [-0.1, 93, float("nan")])
def test_a_threshold_that_is_no_similarity_is_refused(rig: Any, threshold: float) -> None:
    async def scenario() -> None:
        async with rig() as r:
            with pytest.raises(ValueError, match="a similarity from 0 to 1"):
                await r.cache.lookup(ASKED, threshold=threshold)

    asyncio.run(scenario())


@pytest.mark.parametrize("value", [(1, 2), {1: 2}, float("nan"), object()])
def test_a_value_that_would_come_back_different_is_returned_and_not_stored(rig: Any, value: object) -> None:
    async def scenario() -> None:
        async with rig() as r:
            assert await r.cache.get_or_call(ASKED, lambda: value) is value
            assert not await r.cache.store(ASKED, value)
            assert not await r.cache.lookup(ASKED)

    asyncio.run(scenario())


def test_a_prompt_of_a_lone_surrogate_is_a_miss_and_never_an_exception(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            assert not await r.cache.lookup("\ud800 and some more words")
            assert await r.cache.get_or_call("\ud800", lambda: "x") == "x"
            assert not await r.cache.store("\ud800", "x")

    asyncio.run(scenario())


# -- get_or_call ------------------------------------------------------------------------------------------------------


def test_a_miss_calls_once_and_the_next_one_is_a_hit(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            calls = []

            async def call() -> str:
                calls.append(1)
                return "x"

            assert await r.cache.get_or_call(ASKED, call) == "x"
            assert await r.cache.get_or_call(ASKED, call) == "x"
            assert await r.cache.get_or_call(REWORDED, call) == "x"
            assert len(calls) == 1

    asyncio.run(scenario())


def test_a_miss_embeds_once(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            await r.cache.get_or_call(ASKED, lambda: "x")
            await r.cache.get_or_call(OTHER, lambda: "y")
            await r.cache.lookup(OTHER + " ?")
            assert sorted(r.embedder.texts) == sorted([ASKED, OTHER, OTHER + " ?"])

    asyncio.run(scenario())


def test_the_first_text_of_an_empty_scope_is_embedded_after_the_answer_has_gone(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            texts_at_call: list[int] = []
            await r.cache.get_or_call(ASKED, lambda: texts_at_call.append(len(r.embedder.texts)))
            assert texts_at_call == [0]

    asyncio.run(scenario())


def test_a_hundred_equal_questions_make_one_call(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            calls = []

            async def call() -> dict[str, list[int]]:
                calls.append(1)
                await asyncio.sleep(0.05)
                return {"x": [1]}

            answers = await asyncio.gather(*(r.cache.get_or_call(ASKED, call) for _ in range(100)))
            assert len(calls) == 1
            assert all(answer == {"x": [1]} for answer in answers)
            assert len({id(answer) for answer in answers}) == 100

    asyncio.run(scenario())


def test_a_leader_that_is_cancelled_goes_on_while_others_wait(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            calls = []

            async def call() -> str:
                calls.append(1)
                await asyncio.sleep(0.05)
                return "x"

            leader = asyncio.create_task(r.cache.get_or_call(ASKED, call))
            await asyncio.sleep(0.01)
            waiter = asyncio.create_task(r.cache.get_or_call(ASKED, call))
            await asyncio.sleep(0.01)
            leader.cancel()
            assert await waiter == "x"
            assert len(calls) == 1

    asyncio.run(scenario())


def test_a_call_ends_when_the_last_of_those_who_wait_is_cancelled_too(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            ended = []

            async def call() -> str:
                try:
                    await asyncio.sleep(60)
                finally:
                    ended.append(True)
                return "x"

            askers = [asyncio.create_task(r.cache.get_or_call(ASKED, call)) for _ in range(3)]
            await asyncio.sleep(0.01)
            askers[0].cancel()
            askers[1].cancel()
            await asyncio.sleep(0.01)
            assert not ended
            askers[2].cancel()
            await asyncio.wait(askers)
            await asyncio.sleep(0.01)
            assert ended == [True]

    asyncio.run(scenario())


def test_a_leader_that_is_cancelled_alone_cancels_its_call(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            ended = []

            async def call() -> str:
                try:
                    await asyncio.sleep(60)
                finally:
                    ended.append(True)
                return "x"

            leader = asyncio.create_task(r.cache.get_or_call(ASKED, call))
            await asyncio.sleep(0.01)
            leader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leader
            await asyncio.sleep(0.01)
            assert ended == [True]

    asyncio.run(scenario())


def test_what_the_call_raises_reaches_its_own_caller_and_is_not_stored(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:

            async def fail() -> str:
                raise LookupError("no such order")

            with pytest.raises(LookupError, match="no such order"):
                await r.cache.get_or_call(ASKED, fail)
            assert await r.cache.get_or_call(ASKED, lambda: "x") == "x"

    asyncio.run(scenario())


def test_the_callers_own_timeout_error_stays_a_timeout_error(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:

            async def slow() -> str:
                raise TimeoutError("the handler's own")

            with pytest.raises(TimeoutError, match="the handler's own"):
                await r.cache.get_or_call(ASKED, slow)

    asyncio.run(scenario())


def test_ten_callers_behind_a_failing_leader_do_not_queue_up(rig: Any) -> None:
    async def scenario() -> float:
        async with rig() as r:

            async def fail() -> str:
                await asyncio.sleep(0.05)
                raise LookupError

            began = asyncio.get_running_loop().time()
            await asyncio.gather(*(r.cache.get_or_call(ASKED, fail) for _ in range(11)), return_exceptions=True)
            return asyncio.get_running_loop().time() - began

    assert asyncio.run(scenario()) < 0.4


@pytest.mark.parametrize("way", ["raise", "return"])
def test_do_not_cache_gives_the_value_to_the_caller_and_stores_nothing(rig: Any, way: str) -> None:
    async def scenario() -> None:
        async with rig() as r:

            async def call() -> Any:
                if way == "raise":
                    raise DoNotCache("x")
                return DoNotCache("x")

            assert await r.cache.get_or_call(ASKED, call) == "x"
            assert not await r.cache.lookup(ASKED)

    asyncio.run(scenario())


def test_refresh_asks_anew_and_replaces_the_answer(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            await r.cache.store(ASKED, "old")
            r.clock.advance(1)
            assert await r.cache.get_or_call(ASKED, lambda: "new", refresh=True) == "new"
            assert (await r.cache.lookup(ASKED)).value == "new"

    asyncio.run(scenario())


def test_an_older_answer_that_arrives_late_does_not_replace_a_refreshed_one(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            begun, go_on = asyncio.Event(), asyncio.Event()

            async def call() -> str:
                begun.set()
                await go_on.wait()
                return "older"

            flight = asyncio.create_task(r.cache.get_or_call(ASKED, call))
            await begun.wait()
            r.clock.advance(1)
            assert await r.cache.get_or_call(ASKED, lambda: "newer", refresh=True) == "newer"
            r.clock.advance(1)
            go_on.set()
            assert await flight == "older"
            assert (await r.cache.lookup(ASKED)).value == "newer"

    asyncio.run(scenario())


def test_a_plain_call_never_runs_on_the_loop_thread(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            import threading

            assert await r.cache.get_or_call(ASKED, lambda: threading.current_thread().name) != "MainThread"

    asyncio.run(scenario())


# -- freshness --------------------------------------------------------------------------------------------------------


def test_an_expired_answer_is_a_miss(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            await r.cache.store(ASKED, "x", ttl="10s")
            r.clock.advance(10)
            assert not await r.cache.lookup(ASKED)
            assert not await r.cache.lookup(REWORDED)

    asyncio.run(scenario())


def test_a_hit_does_not_prolong_an_answers_life(rig: Any) -> None:
    async def scenario() -> None:
        async with rig({"semcache": {"jitter": 0.0}}) as r:
            await r.cache.store(ASKED, "x", ttl=10)
            r.clock.advance(9)
            assert await r.cache.lookup(ASKED)
            r.clock.advance(1.5)
            assert not await r.cache.lookup(ASKED)

    asyncio.run(scenario())


def test_a_ttl_of_zero_stores_nothing_and_never_lasts_for_ever(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            assert not await r.cache.store(ASKED, "x", ttl=0)
            assert await r.cache.store(OTHER, "x", ttl="never")
            r.clock.advance(10 * 365 * 86400)
            assert not await r.cache.lookup(ASKED)
            assert await r.cache.lookup(OTHER)

    asyncio.run(scenario())


def test_a_stale_answer_is_served_once_more_while_a_new_one_is_fetched(rig: Any) -> None:
    async def scenario() -> None:
        async with rig({"semcache": {"jitter": 0.0, "stale_while_revalidate": 60}}) as r:
            await r.cache.store(ASKED, "old", ttl=10)
            r.clock.advance(11)
            assert await r.cache.get_or_call(ASKED, lambda: "new") == "old"
            await asyncio.sleep(0.05)
            assert (await r.cache.lookup(ASKED)).value == "new"

    asyncio.run(scenario())


def test_an_answer_past_its_ttl_stands_in_for_a_failing_call(rig: Any) -> None:
    async def scenario() -> None:
        async with rig({"semcache": {"jitter": 0.0, "stale_if_error": 60}}) as r:
            await r.cache.store(ASKED, "old", ttl=10)
            r.clock.advance(11)

            async def fail() -> str:
                raise ConnectionError

            assert await r.cache.get_or_call(ASKED, fail) == "old"
            r.clock.advance(60)
            with pytest.raises(ConnectionError):
                await r.cache.get_or_call(ASKED, fail)

    asyncio.run(scenario())


# -- forgetting -------------------------------------------------------------------------------------------------------


def test_an_answer_that_dies_while_the_call_runs_does_not_stand_in_for_it(rig: Any) -> None:
    async def main() -> None:
        async with rig({"semcache": {"ttl": 100, "stale_if_error": 50}}) as r:
            await r.cache.store("What is the capital of France?", "Paris")
            r.clock.advance(110)

            async def failing() -> str:
                await r.cache.invalidate(namespace="default")
                raise ConnectionError("down")

            with pytest.raises(ConnectionError):
                await r.cache.get_or_call("What is the capital of France?", failing)

    asyncio.run(main())


def test_an_invalidated_tag_kills_its_entries_and_no_others(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            await r.cache.store(ASKED, "x", tags=["orders"])
            await r.cache.store(OTHER, "y", tags=["payments"])
            await r.cache.invalidate(tag="orders")
            assert not await r.cache.lookup(ASKED)
            assert not await r.cache.lookup(REWORDED)
            assert await r.cache.lookup(OTHER)

    asyncio.run(scenario())


def test_a_text_where_a_list_of_tags_belongs_is_refused_and_never_taken_apart_into_letters(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            with pytest.raises(TypeError, match="tags= takes a list of str, not 'orders'"):
                await r.cache.store(ASKED, "x", tags="orders")
            with pytest.raises(TypeError, match="not 'orders'"):
                await r.cache.get_or_call(ASKED, lambda: "x", tags="orders")
            with pytest.raises(TypeError, match=r"not \[7\]"):
                await r.cache.store(ASKED, "x", tags=[7])
            with pytest.raises(TypeError, match="tags="):
                await r.cache.invalidate(tag=["orders"])

    asyncio.run(scenario())


def test_a_tag_belongs_to_its_namespace(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            await r.cache.store(ASKED, "x", tags=["t"], namespace="a")
            await r.cache.invalidate(tag="t", namespace="b")
            assert await r.cache.lookup(ASKED, namespace="a")
            await r.cache.invalidate(tag="t", namespace="a")
            assert not await r.cache.lookup(ASKED, namespace="a")

    asyncio.run(scenario())


def test_a_stamped_answer_is_never_served_stale(rig: Any) -> None:
    async def scenario() -> None:
        async with rig({"semcache": {"stale_while_revalidate": 1000, "stale_if_error": 1000}}) as r:
            await r.cache.store(ASKED, "old", ttl=10, tags=["t"])
            r.clock.advance(5)
            await r.cache.invalidate(tag="t")
            r.clock.advance(6)
            assert await r.cache.get_or_call(ASKED, lambda: "new") == "new"

    asyncio.run(scenario())


def test_an_answer_stored_after_the_stamp_is_served_at_once(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            await r.cache.store(ASKED, "old", tags=["t"])
            await r.cache.invalidate(tag="t")
            r.clock.advance(0.001)
            await r.cache.store(ASKED, "new", tags=["t"])
            assert (await r.cache.lookup(ASKED)).value == "new"

    asyncio.run(scenario())


def test_an_answer_fetched_before_a_stamp_is_not_stored_after_it(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            begun, go_on = asyncio.Event(), asyncio.Event()

            async def call() -> str:
                begun.set()
                await go_on.wait()
                return "from before"

            flight = asyncio.create_task(r.cache.get_or_call(ASKED, call, tags=["t"]))
            await begun.wait()
            r.clock.advance(1)
            await r.cache.invalidate(tag="t")
            late = asyncio.create_task(r.cache.get_or_call(ASKED, lambda: "from after"))
            r.clock.advance(1)
            assert await late == "from after"
            go_on.set()
            assert await flight == "from before"
            assert (await r.cache.lookup(ASKED)).value == "from after"

    asyncio.run(scenario())


@pytest.mark.parametrize("moment", ["7d", float("nan"), float("inf")])
def test_what_is_no_time_never_becomes_a_stamp(rig: Any, moment: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            await r.cache.store(ASKED, "x")
            with pytest.raises(TypeError, match="before is a time in seconds since the epoch"):
                await r.cache.invalidate(before=moment)
            assert await r.cache.lookup(ASKED)

    asyncio.run(scenario())


def test_invalidating_before_a_time_spares_what_was_born_later(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            await r.cache.store(ASKED, "x")
            r.clock.advance(10)
            moment = r.clock.now
            r.clock.advance(10)
            await r.cache.store(OTHER, "y")
            await r.cache.invalidate(before=moment)
            assert not await r.cache.lookup(ASKED)
            assert await r.cache.lookup(OTHER)

    asyncio.run(scenario())


def test_one_entry_is_invalidated_by_its_id(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            await r.cache.store(ASKED, "x")
            found = await r.cache.lookup(REWORDED)
            await r.cache.invalidate(entry_id=found.entry_id)
            assert not await r.cache.lookup(ASKED)
            assert not await r.cache.lookup(REWORDED)

    asyncio.run(scenario())


def test_an_entry_id_that_is_none_is_refused_and_so_is_what_would_be_ignored_beside_one(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            with pytest.raises(ValueError, match="hexadecimal digits, not 'zz'"):
                await r.cache.invalidate(entry_id="zz")
            with pytest.raises(ValueError, match="names one entry; it goes with nothing else"):
                await r.cache.invalidate(entry_id="00", tag="t")

    asyncio.run(scenario())


def test_an_answer_fetched_before_its_entry_was_invalidated_is_not_stored_after_it(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:
            await r.cache.store("What is the capital of France?", "Lyon")
            found = await r.cache.lookup("What is the capital of France?")

            async def call() -> str:
                r.clock.advance(1)
                await r.cache.invalidate(entry_id=found.entry_id)
                return "Lyon, still"

            await r.cache.get_or_call("What is the capital of France?", call, refresh=True)
            assert not await r.cache.lookup("What is the capital of France?")

    asyncio.run(main())


@pytest.mark.parametrize("remote", [False, True])
def test_invalidated_answers_do_not_stand_before_a_living_one_for_long(rig: Any, remote: bool) -> None:
    async def main() -> None:
        stores = {"response_store": remote_responses(), "vector_store": remote_vectors()} if remote else {}
        async with rig(**stores) as r:
            for number in range(NEIGHBOURS):
                await r.cache.store(REWORDED + " " + "?" * (number + 2), "dead", tags=["old"])
            r.clock.advance(1)
            await r.cache.invalidate(tag="old")
            r.clock.advance(1)
            await r.cache.store(ASKED + " Tell me", "alive")
            assert (await r.cache.lookup(REWORDED)).reason == "invalidated"
            await asyncio.sleep(0.01)
            assert (await r.cache.lookup(REWORDED)).value == "alive"

    asyncio.run(main())


def test_after_an_answer_that_was_invalidated_on_its_way_equal_questions_share_one_call_again(rig: Any) -> None:
    async def main() -> None:
        async with rig() as r:

            async def overtaken() -> str:
                await r.cache.invalidate(tag="t")
                return "dead"

            calls: list[str] = []

            async def call() -> str:
                calls.append("called")
                await asyncio.sleep(0)
                return "alive"

            assert await r.cache.get_or_call(ASKED, overtaken, tags=["t"]) == "dead"
            r.clock.advance(1)
            answers = await asyncio.gather(*(r.cache.get_or_call(ASKED, call) for _ in range(5)))
            assert (set(answers), len(calls)) == ({"alive"}, 1)

    asyncio.run(main())


def test_invalidate_without_anything_named_says_what_it_takes(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            with pytest.raises(ValueError, match="tag=, entry_id=, namespace= or before="):
                await r.cache.invalidate()

    asyncio.run(scenario())


def test_a_rejected_entry_never_again_answers_that_text_but_still_its_own(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            await r.cache.store(ASKED, "x")
            await r.cache.reject(await r.cache.lookup(REWORDED))
            found = await r.cache.lookup(REWORDED)
            assert (found.hit, found.reason) == (False, "vetoed")
            assert await r.cache.lookup(ASKED)
            assert await r.cache.lookup(REWORDED + " ?")

    asyncio.run(scenario())


def test_a_rejected_exact_hit_is_gone(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            await r.cache.store(ASKED, "wrong")
            await r.cache.reject(await r.cache.lookup(ASKED))
            assert not await r.cache.lookup(ASKED)
            assert not await r.cache.lookup(REWORDED)

    asyncio.run(scenario())


@pytest.mark.parametrize("waits", [False, True])
def test_an_entry_rejected_for_its_own_text_in_other_white_space_is_gone(rig: Any, waits: bool) -> None:
    async def scenario() -> None:
        responses = FlakyStore(MemoryResponseStore(MemoryResponseStore.Options()))
        if waits:
            responses.delay("set", seconds=0.02)
        async with rig(response_store=responses) as r:
            await r.cache.get_or_call(ASKED, lambda: "wrong")
            found = await r.cache.lookup(ASKED.replace(" ", "  "))
            assert found.source == "semantic"
            await r.cache.reject(found)
            await asyncio.sleep(0.05)
            assert not await r.cache.lookup(ASKED)
            assert not await r.cache.lookup(ASKED.replace(" ", "  "))

    asyncio.run(scenario())


def test_a_miss_cannot_be_rejected(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            with pytest.raises(ValueError, match="was a hit"):
                await r.cache.reject(await r.cache.lookup(ASKED))

    asyncio.run(scenario())


# -- modes, statistics, life cycle ------------------------------------------------------------------------------------


def test_observe_decides_and_records_but_always_asks_upstream(rig: Any) -> None:
    async def scenario() -> None:
        async with rig({"semcache": {"mode": "observe"}}) as r:
            calls = []
            for _ in range(3):
                await r.cache.get_or_call(ASKED, lambda: calls.append(1) or "x")
            assert len(calls) == 3
            assert [event.observed for event in r.observer.decisions] == [False, True, True]
            assert r.cache.stats().hits["exact"] == 2

    asyncio.run(scenario())


def test_observe_answers_no_lookup_and_records_what_it_would_have_been(rig: Any) -> None:
    async def scenario() -> None:
        async with rig({"semcache": {"mode": "observe"}}) as r:
            await r.cache.store(ASKED, "x")
            for prompt in (ASKED, REWORDED):
                found = await r.cache.lookup(prompt)
                assert (found.hit, found.value, found.reason, found.entry_id) == (False, None, "observe", None)
                assert found.similarity == pytest.approx(1.0, abs=1e-3)
            assert [(each.reason, each.observed) for each in r.observer.decisions] == [
                ("exact", True),
                ("semantic", True),
            ]

    asyncio.run(scenario())


def test_observe_calls_once_however_old_the_answer_and_lets_a_failure_through(rig: Any) -> None:
    async def main() -> None:
        windows = {"mode": "observe", "ttl": 100, "stale_while_revalidate": 50, "stale_if_error": 500}
        async with rig({"semcache": windows}) as r:
            calls: list[str] = []

            async def call() -> str:
                calls.append("called")
                return "Paris"

            async def failing() -> str:
                raise ConnectionError("down")

            await r.cache.store("What is the capital of France?", "Paris")
            r.clock.advance(110)
            await r.cache.get_or_call("What is the capital of France?", call)
            await asyncio.sleep(0.01)
            assert calls == ["called"]
            r.clock.advance(200)
            with pytest.raises(ConnectionError):
                await r.cache.get_or_call("What is the capital of France?", failing)

    asyncio.run(main())


def test_why_answers_are_not_stored_is_counted(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            await r.cache.store(ASKED, ("a tuple",))
            await r.cache.store(ASKED, "x", ttl=0)
            await r.cache.get_or_call(ASKED, lambda: DoNotCache("x"))
            assert r.cache.stats().unstored == {"not-json": 1, "ttl": 1, "do-not-cache": 1}

    asyncio.run(scenario())


def test_a_failure_behind_the_cache_is_logged_once_a_minute_and_never_with_its_text(
    rig: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        store = FlakyStore(MemoryResponseStore(MemoryResponseStore.Options()), without=("get_nowait",))
        store.fail("get")
        async with rig(response_store=store) as r:
            for _ in range(3):
                await r.cache.lookup(ASKED)
            r.clock.advance(61)
            await r.cache.lookup(ASKED)

    asyncio.run(scenario())
    told = [record.getMessage() for record in caplog.records]
    assert told == ["responses failed with StoreUnavailable; the requests are answered all the same"] * 2


def test_the_kill_switch_asks_upstream_and_stores_nothing(rig: Any) -> None:
    async def scenario() -> None:
        async with rig({"semcache": {"mode": "off"}}) as r:
            calls = []
            for _ in range(2):
                await r.cache.get_or_call(ASKED, lambda: calls.append(1) or "x")
            assert len(calls) == 2
            assert r.cache.stats().bypasses == {"off": 2}

    asyncio.run(scenario())


def test_each_request_makes_exactly_one_decision_without_its_prompt(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            await r.cache.get_or_call(ASKED, lambda: "x")
            await r.cache.get_or_call(ASKED, lambda: "x")
            await r.cache.lookup(REWORDED)
            assert [(d.outcome, d.source, d.reason) for d in r.observer.decisions] == [
                ("miss", None, "empty-scope"),
                ("hit", "exact", "exact"),
                ("hit", "semantic", "semantic"),
            ]
            assert ASKED not in repr(r.observer.events)

    asyncio.run(scenario())


def test_statistics_name_the_context_member_that_splits_most_keys(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            for trace in range(4):
                await r.cache.lookup(ASKED, context={"trace": trace, "tenant": 1})
            assert r.cache.stats().splits == {"context.trace": 3}

    asyncio.run(scenario())


def test_a_cache_that_nobody_opened_opens_at_its_first_call() -> None:
    async def scenario() -> None:
        cache = SemanticCache(
            {"vector_store": {"use": "memory"}, "response_store": {"use": "memory"}}, embedder=CountingEmbedder()
        )
        assert await cache.store(ASKED, "x")
        assert (await cache.lookup(ASKED)).value == "x"
        await cache.lifecycle.close()

    asyncio.run(scenario())


def test_another_event_loop_crosses_over(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            await r.cache.store(ASKED, "x")
            found = await asyncio.to_thread(lambda: asyncio.run(r.cache.lookup(ASKED)))
            assert found.value == "x"

    asyncio.run(scenario())


def test_a_component_that_lacks_a_method_of_its_protocol_stops_the_start_and_is_named(rig: Any) -> None:
    async def scenario() -> None:
        async with rig(vector_store=FlakyStore(MemoryVectorStore(MemoryVectorStore.Options()), without=("delete",))):
            pass

    with pytest.raises(PluginError, match=r"FlakyStore has no 'delete': see semcache_core\.protocols\.VectorStore"):
        asyncio.run(scenario())


def test_a_component_that_opens_as_nothing_is_named() -> None:
    class Forgetful(MemoryVectorStore):
        async def __aenter__(self) -> Any:
            await super().__aenter__()

    in_memory = load({"vector_store": {"use": "memory"}, "response_store": {"use": "memory"}})

    async def scenario() -> None:
        async with SemanticCache(in_memory, vector_store=Forgetful(MemoryVectorStore.Options())):
            pass

    with pytest.raises(PluginError, match=r"Forgetful: __aenter__ returns None; end it with 'return self'"):
        asyncio.run(scenario())


def test_a_cache_can_be_closed_and_opened_again(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            await r.cache.__aexit__(None, None, None)
            async with r.cache:
                assert await r.cache.store(ASKED, "x")

    asyncio.run(scenario())


def test_closing_leaves_no_task_behind(rig: Any) -> None:
    async def scenario() -> None:
        async with rig() as r:
            await r.cache.get_or_call(ASKED, lambda: "x")
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scenario())
