"""One thread that runs calls one after another, and hands their results back to the event loop.

``loop.run_in_executor`` does the same; this takes half its time (0.1 to 0.25 ms less a call, most of it locks taken
while the loop waits for the interpreter), which is much beside the 4 ms of an embedding.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class _Call(NamedTuple):
    work: Callable[[], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class Worker:
    """The thread. It starts at once; ``end`` lets it finish what is queued. The interpreter's exit ends it, too."""

    def __init__(self, name: str) -> None:
        self._queue: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._exiting = False
        self._thread.start()
        atexit.register(self._end_at_exit)

    async def run(self, work: Callable[[], T]) -> T:
        """Return what ``work()`` returns on the thread, or raise what it raises. Cancelled in time, it never runs."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Call(work, future, loop))
        return await future

    def end(self) -> None:
        """Let the thread end after the calls that are queued; does not wait. No call may follow."""
        self._queue.put(None)

    def _run(self) -> None:
        while (call := self._queue.get()) is not None:
            if not (self._exiting or call.future.cancelled()):
                _settle(call)
        if not self._exiting:
            atexit.unregister(self._end_at_exit)

    def _end_at_exit(self) -> None:
        self._exiting = True
        self._queue.put(None)
        # However long it takes: onnxruntime aborts the process if its libraries are taken down while it runs.
        self._thread.join()


def _settle(call: _Call) -> None:
    try:
        settled = partial(_hand_over, call.future, call.work(), None)
    except BaseException as error:  # noqa: BLE001 - it belongs to the caller, who waits for it on another thread
        settled = partial(_hand_over, call.future, None, error)
    try:
        call.loop.call_soon_threadsafe(settled)
    except RuntimeError:
        # The caller's loop was closed meanwhile, so nobody waits.
        return
    finally:
        # An error's traceback holds this frame: without this the two would keep each other.
        del settled


def _hand_over(future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if future.done():  # cancelled while it ran
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
