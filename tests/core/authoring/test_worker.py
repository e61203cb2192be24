"""The thread beside the event loop: order, results, errors, cancellation, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Sequence

import pytest

from semcache_core.authoring.worker import RunEachAlone, Worker


def test_calls_run_one_after_another_in_order_on_one_thread() -> None:
    async def run() -> tuple[list[int], set[str]]:
        worker = Worker("test-worker")
        ran: list[int] = []
        names: set[str] = set()

        def work(number: int) -> int:
            names.add(threading.current_thread().name)
            ran.append(number)
            return number

        results = await asyncio.gather(*(worker.run(lambda number=number: work(number)) for number in range(20)))
        worker.end()
        assert results == ran
        return ran, names

    assert asyncio.run(run()) == (list(range(20)), {"test-worker"})


def test_what_a_call_raises_reaches_its_caller_and_the_next_call_runs() -> None:
    async def run() -> int:
        worker = Worker("test-worker")
        with pytest.raises(ZeroDivisionError):
            await worker.run(lambda: 1 // 0)
        result = await worker.run(lambda: 1)
        worker.end()
        return result

    assert asyncio.run(run()) == 1


def test_a_call_that_is_cancelled_in_the_queue_never_runs() -> None:
    async def run() -> list[str]:
        worker, ran, gate = Worker("test-worker"), [], threading.Event()
        first = asyncio.create_task(worker.run(gate.wait))
        second = asyncio.create_task(worker.run(lambda: ran.append("second")))
        await asyncio.sleep(0)
        second.cancel()
        gate.set()
        await first
        await worker.run(lambda: ran.append("third"))
        worker.end()
        return ran

    assert asyncio.run(run()) == ["third"]


def test_a_call_that_outlives_its_loop_harms_nobody() -> None:
    worker, gate = Worker("test-worker"), threading.Event()

    async def leave() -> None:
        task = asyncio.create_task(worker.run(gate.wait))
        await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(leave())
    gate.set()
    assert asyncio.run(worker.run(lambda: "still there")) == "still there"
    worker.end()


def test_a_worker_that_has_ended_is_forgotten() -> None:
    worker = Worker("test-worker")
    kept = weakref.ref(worker)
    worker.end()
    worker._thread.join(5)
    del worker
    gc.collect()
    assert kept() is None


def test_calls_that_wait_together_run_together_and_a_faulty_one_fails_alone() -> None:
    async def run() -> None:
        batches: list[int] = []

        def together(works: Sequence[Callable[[], object]]) -> list[object]:
            batches.append(len(works))
            try:
                return [work() for work in works]
            except ZeroDivisionError as error:
                raise RunEachAlone from error

        worker, gate = Worker("test-worker", run_together=together), threading.Event()
        worker.submit(gate.wait)
        good = [worker.submit(lambda: "good", batched=True) for _ in range(3)]
        bad = worker.submit(lambda: 1 // 0, batched=True)
        gate.set()
        assert await asyncio.gather(*good) == ["good"] * 3
        with pytest.raises(ZeroDivisionError):
            await bad
        await worker.stop()
        assert batches == [4, 1, 1, 1, 1]

    asyncio.run(run())


def test_a_submitted_call_runs_although_its_caller_was_cancelled() -> None:
    async def run() -> list[str]:
        worker, gate, applied = Worker("test-worker"), threading.Event(), []
        worker.submit(gate.wait)
        worker.submit(lambda: "written", then=applied.append).cancel()
        gate.set()
        await worker.stop()
        await worker.stop()
        return applied

    assert asyncio.run(run()) == ["written"]


def test_a_call_that_raises_stop_iteration_keeps_nobody_waiting() -> None:
    async def run() -> None:
        worker = Worker("test-worker")
        with pytest.raises(RuntimeError, match="StopIteration"):
            await worker.run(lambda: next(iter(())))
        worker.end()

    asyncio.run(run())
