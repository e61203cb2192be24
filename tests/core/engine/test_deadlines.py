"""Deadlines that cost nothing until a call suspends, and breakers."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcache_core.engine.breakers import Breaker, BreakerOpen, Guard, within
from semcache_core.errors import DependencyError, EmbedderUnavailable, StoreUnavailable, TextTooLong, TextUnreadable


async def answer_at_once() -> str:
    return "x"


async def answer_after(seconds: float) -> str:
    await asyncio.sleep(0)
    await asyncio.sleep(seconds)
    return "late"


def dependency(now: list[float], faults: list[str]) -> Guard:
    return Guard(
        "read",
        deadline=0.02,
        open_for=10.0,
        clock=lambda: now[0],
        on_fault=lambda stage, error: faults.append(f"{stage}: {type(error).__name__}"),
    )


def test_a_call_that_never_suspends_needs_no_event_loop_timer() -> None:
    coroutine = within(answer_at_once(), 1.0)
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    assert done.value.value == "x"


def test_a_call_within_its_deadline_returns_its_answer() -> None:
    assert asyncio.run(within(answer_after(0.001), 5.0)) == "late"


def test_a_call_past_its_deadline_is_cancelled() -> None:
    ended = []

    async def hang() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    with pytest.raises(TimeoutError):
        asyncio.run(within(hang(), 0.01))
    assert ended == [True]


def test_what_is_thrown_in_reaches_the_call() -> None:
    seen = []

    async def scenario() -> None:
        async def call() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        task = asyncio.create_task(within(call(), 60))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert seen == ["cancelled"]


def test_a_dead_dependency_costs_one_deadline_and_not_one_a_caller() -> None:
    async def scenario() -> None:
        now, faults = [0.0], []
        dead = dependency(now, faults)
        with pytest.raises(DependencyError):
            await dead.call(answer_after(60))
        for _ in range(20):
            with pytest.raises(BreakerOpen):
                await dead.call(answer_after(60))
        assert faults == ["read: TimeoutError"]

    asyncio.run(scenario())


def test_after_its_pause_an_open_breaker_lets_one_probe_through() -> None:
    breaker = Breaker(open_for=10.0)
    breaker.failed(0.0, timed_out=True)
    assert not breaker.lets_through(9.9)
    assert breaker.lets_through(10.0)
    assert not breaker.lets_through(10.0)
    breaker.succeeded()
    assert breaker.lets_through(10.0)


def test_a_probe_that_fails_opens_the_breaker_again() -> None:
    breaker = Breaker(open_for=10.0)
    breaker.failed(0.0, timed_out=True)
    breaker.lets_through(10.0)
    breaker.failed(10.0)
    assert not breaker.lets_through(19.9)
    assert breaker.lets_through(20.0)


@pytest.mark.parametrize(("first", "pauses"), [(1.0, [1, 2, 4, 8, 10, 10]), (4.0, [4, 8, 10, 10]), (30.0, [30, 30])])
def test_each_probe_that_fails_doubles_the_pause_up_to_ten_seconds(first: float, pauses: list[float]) -> None:
    breaker, now = Breaker(open_for=first), 0.0
    breaker.failed(now, timed_out=True)
    for pause in pauses:
        assert not breaker.lets_through(now + pause - 0.1)
        now += pause
        assert breaker.lets_through(now)
        breaker.failed(now)


def test_after_a_success_the_pause_is_the_first_one_again() -> None:
    breaker = Breaker(open_for=1.0)
    breaker.failed(0.0, timed_out=True)
    breaker.lets_through(1.0)
    breaker.failed(1.0)
    breaker.lets_through(3.0)
    breaker.succeeded()
    breaker.failed(5.0, timed_out=True)
    assert breaker.lets_through(6.0)


def test_one_failure_that_is_no_timeout_leaves_the_breaker_closed() -> None:
    breaker = Breaker(open_for=10.0)
    breaker.failed(0.0)
    assert breaker.lets_through(0.0)


def test_a_probe_whose_caller_leaves_makes_room_for_another() -> None:
    breaker = Breaker(open_for=10.0)
    breaker.failed(0.0, timed_out=True)
    breaker.lets_through(10.0)
    breaker.abandoned()
    assert breaker.lets_through(10.0)


def test_a_probe_that_is_closed_or_interrupted_makes_room_for_another() -> None:
    now = [0.0]
    guard = dependency(now, [])

    async def dead() -> None:
        raise TimeoutError

    async def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(DependencyError):
        asyncio.run(guard.call(dead()))
    now[0] = 20.0

    async def closed() -> None:
        probe = guard.call(answer_after(60.0))
        probe.send(None)
        probe.close()

    asyncio.run(closed())
    with pytest.raises(KeyboardInterrupt):
        guard.call(interrupted()).send(None)
    assert asyncio.run(guard.call(answer_at_once())) == "x"


def test_whatever_a_plugin_raises_leaves_as_a_dependency_error_with_its_cause() -> None:
    async def broken() -> None:
        raise ZeroDivisionError("a prompt could stand here")

    with pytest.raises(DependencyError) as caught:
        asyncio.run(dependency([0.0], []).call(broken()))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert "prompt" not in str(caught.value)


def test_a_documented_outage_keeps_its_type() -> None:
    async def down() -> None:
        raise StoreUnavailable("gone")

    with pytest.raises(StoreUnavailable):
        asyncio.run(dependency([0.0], []).call(down()))


@pytest.mark.parametrize("refusal", [TextTooLong, TextUnreadable])
def test_a_text_that_cannot_be_embedded_is_no_fault_of_the_embedder(refusal: type[EmbedderUnavailable]) -> None:
    async def scenario() -> None:
        faults: list[str] = []
        embedder = dependency([0.0], faults)

        async def refused() -> None:
            raise refusal

        for _ in range(10):
            with pytest.raises(refusal):
                await embedder.call(refused())
        assert faults == []
        assert await embedder.call(answer_at_once()) == "x"

    asyncio.run(scenario())


# -- one source's failures --------------------------------------------------------------------------------------------


async def fail_with(error: Exception) -> str:
    raise error


async def tried(guard: Guard, source: bytes, error: Exception | None = None) -> str:
    """Make one call for a source; return how it ended."""
    try:
        return await guard.call(answer_at_once() if error is None else fail_with(error), sources=(source,))
    except BreakerOpen:
        return "blocked"
    except DependencyError:
        return "failed"


@pytest.mark.parametrize(("error", "failures"), [(TimeoutError(), 1), (StoreUnavailable("x"), 5)])
def test_failures_of_one_source_block_that_source_only(error: Exception, failures: int) -> None:
    async def scenario() -> None:
        now = [0.0]
        guard = dependency(now, [])
        assert [await tried(guard, b"b", error) for _ in range(failures + 1)] == ["failed"] * failures + ["blocked"]
        assert await tried(guard, b"a") == "x"
        assert await tried(guard, b"b") == "blocked"
        now[0] = 11.0
        assert await tried(guard, b"b") == "x"

    asyncio.run(scenario())


def test_failures_of_a_second_source_block_all() -> None:
    async def scenario() -> None:
        now = [0.0]
        guard = dependency(now, [])
        assert await tried(guard, b"a", TimeoutError()) == "failed"
        assert await tried(guard, b"b", TimeoutError()) == "failed"
        assert await tried(guard, b"c") == "blocked"
        now[0] = 11.0
        assert await tried(guard, b"c") == "x"
        assert await tried(guard, b"d") == "x"

    asyncio.run(scenario())


def test_the_failure_of_a_call_for_several_sources_counts_for_none_of_them() -> None:
    async def scenario() -> None:
        guard = dependency([0.0], [])
        for _ in range(20):
            with pytest.raises(DependencyError):
                await guard.call(fail_with(TimeoutError()), sources=(b"a", b"b"))
        assert [await tried(guard, source) for source in (b"a", b"b", b"c")] == ["x", "x", "x"]

    asyncio.run(scenario())


def test_a_source_that_failed_is_not_tried_together_with_others() -> None:
    async def scenario() -> None:
        guard = dependency([0.0], [])
        assert await tried(guard, b"b", StoreUnavailable("x")) == "failed"
        with pytest.raises(BreakerOpen):
            await guard.call(answer_at_once(), sources=(b"a", b"b"))
        assert await tried(guard, b"b") == "x"
        assert await guard.call(answer_at_once(), sources=(b"a", b"b")) == "x"

    asyncio.run(scenario())


def test_breakers_are_kept_for_a_bounded_number_of_sources() -> None:
    async def scenario() -> None:
        guard = dependency([0.0], [])
        for number in range(3000):
            await tried(guard, b"%d" % number, StoreUnavailable("x"))
            await tried(guard, b"sound")
        assert len(guard._breakers.own) <= 1024

    asyncio.run(scenario())


@settings(max_examples=50, deadline=None, database=None)
@given(
    st.lists(st.tuples(st.sampled_from([b"b", b"c"]), st.booleans(), st.sampled_from([0.0, 1.0, 11.0])), max_size=30)
)
def test_a_source_whose_calls_succeed_in_between_is_never_blocked(calls: list[tuple[bytes, bool, float]]) -> None:
    async def scenario() -> None:
        now = [0.0]
        guard = dependency(now, [])
        for source, timed_out, pause in calls:
            await tried(guard, source, TimeoutError() if timed_out else StoreUnavailable("x"))
            assert await tried(guard, b"a") == "x"
            now[0] += pause

    asyncio.run(scenario())
