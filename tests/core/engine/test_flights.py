"""Single-flight: who leads, who waits, and what happens when the leader fails."""

import asyncio
import time

import pytest

from semcache_core.engine.flight import Flight, FlightFailed
from semcache_core.engine.single_flight import Flights

KEY = b"k" * 16


def flights(now: float = 0.0) -> Flights[str]:
    return Flights(clock=lambda: now, hit_for_miss=60.0)


async def read(flight: Flight[str], *, patience: float = 5.0) -> list[str]:
    return [item async for item in flight.items(patience=patience)]


def test_the_first_to_board_leads_and_the_others_read_all_it_publishes() -> None:
    async def scenario() -> None:
        table = flights()
        leader, is_leader = table.join(KEY)
        same, second_leads = table.join(KEY)
        assert (is_leader, second_leads) == (True, False)
        waiting = asyncio.create_task(read(same))
        await asyncio.sleep(0)
        leader.publish("a")
        await asyncio.sleep(0)
        leader.publish("b")
        leader.complete()
        assert await waiting == ["a", "b"]

    asyncio.run(scenario())


def test_a_late_joiner_reads_from_the_first_item() -> None:
    async def scenario() -> None:
        table = flights()
        leader, _ = table.join(KEY)
        leader.publish("a")
        late, is_leader = table.join(KEY)
        waiting = asyncio.create_task(read(late))
        await asyncio.sleep(0)
        leader.publish("b")
        leader.complete()
        assert not is_leader
        assert await waiting == ["a", "b"]

    asyncio.run(scenario())


def test_a_waiter_that_begins_after_the_leader_has_failed_gets_no_part_of_its_answer() -> None:
    async def scenario() -> None:
        table = flights()
        leader, _ = table.join(KEY)
        late, _ = table.join(KEY)
        leader.publish("half")
        leader.fail()
        with pytest.raises(FlightFailed) as failed:
            await anext(late.items(patience=5.0))
        assert not failed.value.alone

    asyncio.run(scenario())


def test_a_landed_flight_is_not_joined_any_more() -> None:
    table = flights()
    leader, _ = table.join(KEY)
    leader.complete()
    assert table.join(KEY)[1]
    assert len(table) == 1


def test_ten_waiters_behind_failing_leaders_go_alone_after_the_second_failure() -> None:
    async def scenario() -> None:
        table = flights()
        calls = 0

        async def request() -> str:
            nonlocal calls
            while True:
                flight, is_leader = table.join(KEY)
                if is_leader:
                    calls += 1
                    await asyncio.sleep(0.01)
                    flight.fail()
                    return "led"
                try:
                    await read(flight)
                except FlightFailed as failed:
                    if failed.alone:
                        return "alone"

        ends = await asyncio.gather(*(request() for _ in range(11)))
        assert calls == 2
        assert sorted(ends) == ["alone"] * 9 + ["led"] * 2

    asyncio.run(scenario())


def test_a_flight_that_no_waiter_of_a_failed_one_boards_again_does_not_stay_for_ever() -> None:
    async def scenario() -> None:
        now = 0.0
        table: Flights[str] = Flights(clock=lambda: now, hit_for_miss=60.0)
        for number in range(100):
            now += 1.0
            leader, _ = table.join(b"%16d" % number)
            waiting = asyncio.create_task(read(leader))
            await asyncio.sleep(0)
            leader.fail()
            with pytest.raises(FlightFailed):
                await waiting
        assert len(table) < 20

    asyncio.run(scenario())


def test_a_leader_that_lands_after_one_failure_serves_the_rest() -> None:
    async def scenario() -> None:
        table = flights()
        first, _ = table.join(KEY)
        waiter, _ = table.join(KEY)
        waiting = asyncio.create_task(read(waiter))
        await asyncio.sleep(0)
        first.fail()
        with pytest.raises(FlightFailed) as failed:
            await waiting
        assert not failed.value.alone
        second, is_leader = table.join(KEY)
        assert is_leader
        second.publish("x")
        second.complete()
        assert second.failures == 1

    asyncio.run(scenario())


def test_a_waiter_without_news_for_its_patience_goes_alone() -> None:
    async def scenario() -> None:
        table = flights()
        table.join(KEY)
        waiter, _ = table.join(KEY)
        with pytest.raises(FlightFailed) as failed:
            await read(waiter, patience=0.01)
        assert failed.value.alone

    asyncio.run(scenario())


def test_a_refused_answer_lets_equal_requests_pass_at_once_for_a_while() -> None:
    now = 0.0
    table: Flights[str] = Flights(clock=lambda: now, hit_for_miss=60.0)
    table.join(KEY)[0].complete(refused=True)
    assert table.join(KEY)[1]
    assert table.join(KEY)[1]
    now = 61.0
    assert table.join(KEY)[1]
    assert not table.join(KEY)[1]


def test_a_flight_begun_before_a_stamp_is_not_joined_after_it() -> None:
    table = flights()
    table.join(KEY)
    table.detach_all()
    assert table.join(KEY)[1]


def test_one_cancelled_waiter_leaves_the_others_waiting() -> None:
    async def scenario() -> None:
        table = flights()
        leader, _ = table.join(KEY)
        first = asyncio.create_task(read(table.join(KEY)[0]))
        second = asyncio.create_task(read(table.join(KEY)[0]))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        assert leader.waiting
        leader.publish("a")
        leader.complete()
        assert await second == ["a"]

    asyncio.run(scenario())


def test_alone_returns_when_the_last_waiter_left() -> None:
    async def scenario() -> None:
        table = flights()
        leader, _ = table.join(KEY)
        waiter = asyncio.create_task(read(table.join(KEY)[0]))
        await asyncio.sleep(0)
        alone = asyncio.create_task(leader.alone())
        await asyncio.sleep(0)
        assert not alone.done()
        waiter.cancel()
        await asyncio.wait_for(alone, 1)

    asyncio.run(scenario())


def test_closing_the_doors_keeps_those_inside_and_lets_nobody_else_in() -> None:
    async def scenario() -> None:
        table = flights()
        leader, _ = table.join(KEY)
        inside = asyncio.create_task(read(table.join(KEY)[0]))
        await asyncio.sleep(0)
        leader.stop_joining()
        assert table.join(KEY)[1]
        leader.publish("a")
        leader.complete()
        assert await inside == ["a"]

    asyncio.run(scenario())


def test_a_flight_that_nobody_can_join_keeps_nothing() -> None:
    alone_flight = flights().alone_flight()
    alone_flight.publish("a")
    assert alone_flight._items == []


def test_an_invalidation_of_one_partition_leaves_the_flights_of_others_joinable() -> None:
    table = flights()
    own, other = b"a" * 16 + b"question", b"b" * 16 + b"question"
    table.join(own)
    table.join(other)
    table.detach(b"a" * 16)
    assert table.join(own)[1]
    assert not table.join(other)[1]


def test_marks_of_one_partition_displace_its_own_first() -> None:
    table = flights()
    table.mark_hit_for_miss(b"b" * 16 + b"question")
    for number in range(20_000):
        table.mark_hit_for_miss(b"a" * 16 + b"%d" % number)
    assert len(table._marks) == 10_000
    assert table.refresh(b"b" * 16 + b"question") is None


def test_a_refresh_is_counted_until_it_ends_however_it_ends() -> None:
    table: Flights[str] = Flights(clock=lambda: 0.0, hit_for_miss=60.0, refreshes=4)
    for end in (lambda flight: flight.complete(), lambda flight: flight.fail(), lambda flight: flight.fail(alone=True)):
        for number in range(3):
            flight = table.refresh(KEY + b"%d" % number)
            assert flight is not None
            assert table.refresh(KEY + b"another") is None, "a quarter of four is one"
            end(flight)
            end(flight)
    assert not table._refreshing


def test_a_slow_waiter_is_cut_off_and_the_others_read_on() -> None:
    async def scenario() -> None:
        table = flights()
        leader, _ = table.join(KEY)
        leader.most = 10
        slow, fast = leader.items(patience=5), asyncio.create_task(read(leader))
        await asyncio.sleep(0)
        leader.publish("0", size=1)
        assert await anext(slow) == "0"
        leader.stop_joining()
        for number in range(1, 100):
            leader.publish(f"{number}", size=1)
            if leader.is_crowded:
                await leader.make_room()
            assert leader._held <= 10
        leader.complete()
        assert await fast == [f"{number}" for number in range(100)]
        with pytest.raises(FlightFailed) as cut_off:
            await anext(slow)
        assert cut_off.value.alone
        assert leader.waiting == 0

    asyncio.run(scenario())


def test_many_waiters_that_leave_take_linear_time() -> None:
    async def seconds(waiters: int) -> float:
        flight, _ = flights().join(KEY)
        tasks = [asyncio.create_task(read(flight)) for _ in range(waiters)]
        await asyncio.sleep(0)
        began = time.perf_counter()
        flight.complete()
        await asyncio.gather(*tasks)
        return time.perf_counter() - began

    async def scenario() -> None:
        few = min([await seconds(500) for _ in range(3)])
        many = min([await seconds(4_000) for _ in range(3)])
        assert many < 25 * few

    asyncio.run(scenario())


def test_who_begins_to_read_after_the_beginning_was_dropped_goes_alone() -> None:
    async def scenario() -> None:
        table = flights()
        leader, _ = table.join(KEY)
        late, _ = table.join(KEY)
        leader.publish("the first half")
        leader.stop_joining()
        leader.publish("the second half")
        leader.complete()
        with pytest.raises(FlightFailed) as too_late:
            await read(late)
        assert too_late.value.alone

    asyncio.run(scenario())
