"""The thread beside the event loop: order, results, errors, cancellation, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import weakref

import pytest

from semcache_onnx.worker import Worker


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


@pytest.mark.parametrize("closed", [False, True])
def test_the_interpreter_exits_cleanly_in_the_midst_of_work(closed: bool) -> None:
    code = f"""
import asyncio
from semcache_onnx.embedder import OnnxEmbedder, OnnxOptions

async def run():
    embedder = await OnnxEmbedder(OnnxOptions()).__aenter__()
    tasks = [asyncio.create_task(embedder.embed(["word " * 500] * 5)) for _ in range(100)]
    await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    if {closed}:
        await embedder.__aexit__(None, None, None)

asyncio.run(run())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_worker_that_has_ended_is_forgotten() -> None:
    worker = Worker("test-worker")
    kept = weakref.ref(worker)
    worker.end()
    worker._thread.join(5)
    del worker
    gc.collect()
    assert kept() is None
