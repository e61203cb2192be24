"""The outcome of a call, as a value, on its way to another task, loop or thread.

asyncio raises the KeyboardInterrupt or SystemExit of a task once more in the event loop, which ends that loop for all
its users. As a value either one travels to the caller like any other exception.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Generic, TypeVar, cast

T = TypeVar("T")


class Outcome(Generic[T]):
    """What a call returned or raised."""

    __slots__ = ("_error", "_value")

    def __init__(self, value: T | None = None, error: BaseException | None = None) -> None:
        self._value, self._error = value, error

    def unwrap(self) -> T:
        """Return the value, or raise the exception."""
        error, value = self._error, self._value
        if error is None:
            return cast("T", value)
        try:
            raise error
        finally:
            # The traceback refers to this frame: without this they would form a reference cycle.
            del error, self


async def outcome_of(work: Awaitable[T]) -> Outcome[T]:
    """Await ``work`` and return its outcome. Raises CancelledError if the running task is being cancelled."""
    try:
        return Outcome(await work)
    except asyncio.CancelledError as error:
        # A call may also raise CancelledError itself; then this task goes on.
        if is_being_cancelled():
            raise
        return Outcome(error=error)
    except BaseException as error:  # noqa: BLE001  raised again where the outcome is unwrapped
        return Outcome(error=error)


def is_being_cancelled() -> bool:
    """Say whether a CancelledError in the running task comes from cancelling this task."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
