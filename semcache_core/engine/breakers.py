"""Deadlines and circuit breakers around every call to a component that may hang or fail."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Coroutine, Generator
from typing import Any, TypeVar

from semcache_core.errors import DependencyError, TextTooLong, TextUnreadable

T = TypeVar("T")

_FAILURES_BEFORE_OPEN = 5
_SOURCES_KEPT = 1024
_LONGEST_PAUSE = 10.0
"""Seconds; a longer configured first pause is not shortened."""


class BreakerOpen(DependencyError):
    """The dependency failed recently and is not called until its pause is over."""


class Resumed:
    """Awaits the rest of a coroutine that has already been driven to its first suspension."""

    __slots__ = ("_coroutine", "_yielded")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], yielded: Any) -> None:
        self._coroutine = coroutine
        self._yielded = yielded

    def __await__(self) -> Generator[Any, Any, Any]:
        yielded = self._yielded
        while True:
            try:
                try:
                    sent = yield yielded
                except BaseException as error:  # noqa: BLE001  the coroutine must see every thrown exception
                    yielded = self._coroutine.throw(error)
                else:
                    yielded = self._coroutine.send(sent)
            except StopIteration as done:
                return done.value


async def within(coroutine: Coroutine[Any, Any, T], seconds: float) -> T:
    """Return what the coroutine returns; raise TimeoutError if that takes longer than ``seconds``.

    The timer is armed only if the coroutine suspends: a call answered from memory pays nothing for its deadline.
    """
    try:
        yielded = coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    return await _rest_within(coroutine, yielded, seconds)


async def _rest_within(coroutine: Coroutine[Any, Any, T], yielded: Any, seconds: float) -> T:
    async with asyncio.timeout(seconds):
        rest: T = await Resumed(coroutine, yielded)
        return rest


class Breaker:
    """Blocks calls to a failing dependency for a while, then lets one probe through. Pure: time is passed in.

    A timeout opens it at once, so a dead dependency costs one deadline; other failures do after five in a row. Each
    probe that fails doubles the pause, from ``open_for`` up to 10 s.
    """

    __slots__ = ("_failures", "_first_pause", "_open_until", "_pause", "_probing", "is_untroubled")

    def __init__(self, *, open_for: float) -> None:
        self.is_untroubled = True
        """True while nothing failed since the last success: calls pass and need not be reported."""
        self._first_pause = self._pause = open_for
        self._open_until: float | None = None
        self._failures = 0
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether calls are blocked, but for a probe."""
        return self._open_until is not None

    def lets_through(self, now: float) -> bool:
        """Say whether a call may be made; after the pause one probe may run until ``succeeded``, ``failed`` or
        ``abandoned``.
        """
        if self._open_until is None:
            return True
        if now < self._open_until or self._probing:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """Note that a call returned."""
        self._failures = 0
        self._pause = self._first_pause
        self._open_until = None
        self._probing = False
        self.is_untroubled = True

    def failed(self, now: float, *, timed_out: bool = False) -> None:
        """Note that a call failed."""
        self._failures += 1
        self.is_untroubled = False
        if self._probing:
            self._pause = max(self._first_pause, min(2 * self._pause, _LONGEST_PAUSE))
        if timed_out or self._probing or self._failures >= _FAILURES_BEFORE_OPEN:
            self._open_until = now + self._pause
        self._probing = False

    def abandoned(self) -> None:
        """Note that a call ended without a result that says anything about the dependency: its caller left."""
        self._probing = False


class SourceBreakers:
    """The breakers of one dependency: one for all calls, and one for each source (a partition) that failed.

    A text that makes a dependency fail must not close it to every caller: while all failures in a row come from one
    source, only that source is blocked.
    """

    __slots__ = ("_open_for", "own", "shared", "suspect")

    def __init__(self, *, open_for: float) -> None:
        self._open_for = open_for
        self.shared = Breaker(open_for=open_for)
        self.own: OrderedDict[bytes, Breaker] = OrderedDict()
        """By source, those that failed since their last success."""
        self.suspect: bytes | None = None
        """The source of the last failure; None: the last call succeeded."""

    def own_of(self, source: bytes) -> Breaker:
        """Return the breaker of one source; the oldest one makes place."""
        breaker = self.own.get(source)
        if breaker is None:
            if len(self.own) >= _SOURCES_KEPT:
                self.own.popitem(last=False)
            breaker = self.own[source] = Breaker(open_for=self._open_for)
        return breaker


class CallBreaker:
    """The breaker of one call that is made for some sources. The methods of ``Breaker``, which see."""

    __slots__ = ("_all", "_sources")

    def __init__(self, breakers: SourceBreakers, sources: Collection[bytes]) -> None:
        self._all, self._sources = breakers, sources

    @property
    def is_untroubled(self) -> bool:
        """True while no source failed since its last success."""
        return not self._all.own and self._all.shared.is_untroubled

    def lets_through(self, now: float) -> bool:
        """Say whether the call may be made. A source that failed is not tried together with others."""
        own = [self._all.own[source] for source in self._sources if source in self._all.own]
        if own and (len(self._sources) > 1 or not own[0].lets_through(now)):
            return False
        if self._all.shared.lets_through(now):
            return True
        for breaker in own:
            breaker.abandoned()
        return False

    def succeeded(self) -> None:
        """Note that the call returned: the dependency works, for these sources too."""
        for source in self._sources:
            self._all.own.pop(source, None)
        self._all.suspect = None
        self._all.shared.succeeded()

    def failed(self, now: float, *, timed_out: bool = False) -> None:
        """Note that the call failed. If it was made for several sources, that counts for none of them."""
        breakers = self._all
        if len(self._sources) > 1:
            breakers.shared.abandoned()
            return
        (source,) = self._sources
        breakers.own_of(source).failed(now, timed_out=timed_out)
        if breakers.shared.is_open or breakers.suspect not in (None, source):
            breakers.shared.failed(now, timed_out=timed_out)
        breakers.suspect = source

    def abandoned(self) -> None:
        """Note that the call ended without a result that says anything about the dependency: its caller left."""
        for source in self._sources:
            if source in self._all.own:
                self._all.own[source].abandoned()
        self._all.shared.abandoned()


class Guard:
    """Guards one dependency: every call to it has a deadline and passes its breaker.

    Every exception of the plugin becomes a DependencyError; ``on_fault`` is called first.
    """

    __slots__ = ("_breakers", "_clock", "_deadline", "_on_fault", "stage")

    def __init__(
        self,
        stage: str,
        *,
        deadline: float,
        open_for: float,
        clock: Callable[[], float],
        on_fault: Callable[[str, BaseException], None],
    ) -> None:
        self.stage = stage
        self._deadline = deadline
        self._clock = clock
        self._on_fault = on_fault
        self._breakers = SourceBreakers(open_for=open_for)

    async def call(self, coroutine: Coroutine[Any, Any, T], *, sources: Collection[bytes] = ()) -> T:
        """Await the coroutine under the deadline. Raises DependencyError in place of the plugin's own exceptions.

        ``sources``: the partitions whose texts or answers may be why it fails.
        """
        breaker = CallBreaker(self._breakers, sources) if sources else self._breakers.shared
        if not breaker.is_untroubled and not breaker.lets_through(self._clock()):
            coroutine.close()
            raise BreakerOpen(self.stage)
        try:
            # ``within`` written out: an answer from memory comes back from the first step and costs one frame less.
            try:
                yielded = coroutine.send(None)
            except StopIteration as done:
                result: T = done.value
            else:
                result = await _rest_within(coroutine, yielded, self._deadline)
        except (TextTooLong, TextUnreadable):  # the text's fault, not the embedder's
            breaker.succeeded()
            raise
        except (Exception, SystemExit) as error:  # the edge to plugin code: whatever it raises is its own fault
            breaker.failed(self._clock(), timed_out=isinstance(error, TimeoutError))
            self._on_fault(self.stage, error)
            if isinstance(error, DependencyError):
                raise
            raise DependencyError(f"{self.stage}: {type(error).__name__}") from error
        except BaseException:  # the caller left, or is ended: otherwise a probe that never ends would block all calls
            breaker.abandoned()
            raise
        if not breaker.is_untroubled:
            breaker.succeeded()
        return result
