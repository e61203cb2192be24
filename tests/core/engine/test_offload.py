"""Work that takes long runs in one thread beside the loop; callers take turns, and few may wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from semcache_core.engine.offload import Busy, Offload


class Gate:
    """Work that does not end before it is let through."""

    def __init__(self) -> None:
        self._open, self.done = threading.Event(), list[str]()

    def held(self, name: str) -> Callable[[], str]:
        def work() -> str:
            assert self._open.wait(10)
            return self.quick(name)()

        return work

    def quick(self, name: str) -> Callable[[], str]:
        def work() -> str:
            self.done.append(name)
            return name

        return work

    def open(self) -> None:
        self._open.set()


async def begun(offload: Offload, caller: bytes, work: Callable[[], str]) -> asyncio.Task[str]:
    task = asyncio.create_task(offload.run(caller, work))
    await asyncio.sleep(0)
    return task


def test_work_returns_and_raises_in_its_caller() -> None:
    async def main() -> None:
        offload = Offload(most=1, patience=10)
        assert await offload.run(b"a", threading.get_ident) != threading.get_ident()
        with pytest.raises(ZeroDivisionError):
            await offload.run(b"a", lambda: 1 // 0)
        assert await offload.run(b"a", lambda: 1) == 1
        await offload.close()

    asyncio.run(main())


def test_callers_take_turns() -> None:
    async def main() -> list[str]:
        offload, gate = Offload(most=10, patience=10), Gate()
        tasks = [await begun(offload, b"b", gate.held("b0"))]
        tasks += [await begun(offload, b"b", gate.quick(f"b{number}")) for number in range(1, 4)]
        tasks += [await begun(offload, b"a", gate.quick(f"a{number}")) for number in range(2)]
        gate.open()
        await asyncio.gather(*tasks)
        await offload.close()
        return gate.done

    assert asyncio.run(main()) == ["b0", "b1", "a0", "b2", "a1", "b3"]


def test_beyond_the_bound_the_caller_with_most_loses_its_newest() -> None:
    async def main() -> list[object]:
        offload, gate = Offload(most=3, patience=10), Gate()
        tasks = [await begun(offload, b"b", gate.held("b0"))]
        tasks += [await begun(offload, b"b", gate.quick(f"b{number}")) for number in range(1, 4)]
        tasks += [await begun(offload, caller, gate.quick(caller.decode())) for caller in (b"a", b"c", b"d")]
        gate.open()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        await offload.close()
        return [type(each) if isinstance(each, Exception) else each for each in ended]

    assert asyncio.run(main()) == ["b0", "b1", Busy, Busy, "a", "c", Busy]


@pytest.mark.parametrize("leaver", ["first", "second"])
def test_a_caller_that_leaves_gives_up_its_turn(leaver: str) -> None:
    async def main() -> list[str]:
        offload, gate = Offload(most=2, patience=10), Gate()
        first = await begun(offload, b"a", gate.held("first"))
        second = await begun(offload, b"a", gate.quick("second"))
        (first if leaver == "first" else second).cancel()
        await asyncio.sleep(0)
        others = [await begun(offload, b"b", gate.quick("third"))]
        gate.open()
        await asyncio.gather(*others)
        await asyncio.gather(first, second, return_exceptions=True)
        await offload.close()
        # The thread may have begun what the leaver wanted.
        return [name for name in gate.done if name != leaver]

    assert asyncio.run(main()) == [name for name in ("first", "second", "third") if name != leaver]


def test_a_call_whose_turn_does_not_come_in_time_is_refused() -> None:
    async def main() -> list[str]:
        offload, gate = Offload(most=2, patience=0.01), Gate()
        first = await begun(offload, b"a", gate.held("first"))
        with pytest.raises(Busy):
            await offload.run(b"b", gate.quick("second"))
        gate.open()
        await first
        await offload.run(b"b", gate.quick("third"))
        await offload.close()
        return gate.done

    assert asyncio.run(main()) == ["first", "third"]


def test_closing_refuses_what_waits_and_what_comes_later() -> None:
    async def main() -> None:
        offload, gate = Offload(most=2, patience=10), Gate()
        first = await begun(offload, b"a", gate.held("first"))
        second = await begun(offload, b"a", gate.quick("second"))
        closing = asyncio.create_task(offload.close())
        await asyncio.sleep(0)
        gate.open()
        await closing
        assert await first == "first"
        for late in (second, offload.run(b"a", gate.quick("late"))):
            with pytest.raises(Busy):
                await late
        assert gate.done == ["first"]

    asyncio.run(main())
