"""The base of every contract of the kit: runs async promises, and prevents their silent loss.

A contract is a class of ``test_...`` methods, one for each promise. A plugin's author subclasses it under a name that
begins with ``Test``, and pytest collects the inherited tests. They need no asyncio plugin: each runs in a new event
loop.

A promise cannot be lost silently. Defining a subclass that overrides one, or sets it to None, raises ContractBroken. A
component that cannot keep a promise waives it: ``waived = {"test_name": "why"}`` shows the test as an expected failure
with that reason, and fails once the promise is kept after all.
"""

from __future__ import annotations

import asyncio
import difflib
import functools
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Generic, TypeVar, final

import pytest

from semcache_core.errors import NotOpenError
from semcache_core.protocols import AsyncResource

Body = Callable[[], Coroutine[Any, Any, None]]
R = TypeVar("R", bound=AsyncResource)
C = TypeVar("C", bound="ResourceContract[Any]")

_KIT = __name__.rpartition(".")[0] + "."


class ContractBroken(TypeError):
    """A subclass of a contract hides one of its promises; the message names the class, the test and the remedy."""


class Contract(ABC):  # noqa: B024  its subclasses have the abstract methods
    """Base of all contracts. See the module's docstring for what a subclass may not do."""

    waived: ClassVar[Mapping[str, str]] = {}
    """Promises that this component cannot keep, each with the reason."""
    time_limit: ClassVar[float] = 60.0
    """Seconds after which a promise that is still running counts as broken."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith(_KIT):
            return
        if cls.__name__.startswith("Test") and not getattr(cls, "__test__", True):
            raise ContractBroken(f"{cls.__qualname__} sets __test__ to False, so nothing of its contract would run")
        waived = _checked_waivers(cls)
        for name, promised in _kit_members(cls).items():
            found = _lookup(cls, name)
            if found is promised:
                if name in waived:
                    setattr(cls, name, _expected_to_fail(promised, reason=waived[name]))
            elif getattr(found, "_waives", None) is not promised:
                raise ContractBroken(_hidden(cls, name))

    @final
    def run(self, body: Body) -> None:
        """Run an async body in a new event loop, within the time limit."""

        async def limited() -> None:
            async with asyncio.timeout(self.time_limit):
                await body()

        asyncio.run(limited())


class ResourceContract(Contract, Generic[R]):
    """The life cycle of every component: opening and closing."""

    @abstractmethod
    def make(self) -> R:
        """Return a new component, not yet open. A test may call it several times; use the same options each time."""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[R]:
        """Open a component as the engine does, and close it."""
        async with self.make() as component:
            yield component

    def test_closing_twice_is_harmless(self) -> None:
        async def body() -> None:
            async with self.opened() as component:
                pass
            await component.__aexit__(None, None, None)

        self.run(body)

    def test_closing_leaves_no_task_behind(self) -> None:
        async def body() -> None:
            async with self.opened():
                # One loop iteration, so that a task created at opening has started.
                await asyncio.sleep(0)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"__aexit__ must end and await the component's own tasks; still there: {left}"

        self.run(body)

    def test_an_error_in_the_block_is_not_swallowed(self) -> None:
        async def body() -> None:
            async with self.opened():
                raise LookupError("from the block")

        with pytest.raises(LookupError, match="from the block"):
            self.run(body)


class GuardedContract(ResourceContract[R]):
    """A component that raises NotOpenError if it is used outside ``async with``."""

    @abstractmethod
    async def use(self, component: R) -> None:
        """Make the simplest call of the component. The kit implements it."""

    def test_use_before_open_raises_not_open(self) -> None:
        component = self.make()
        with pytest.raises(NotOpenError):
            self.run(lambda: self.use(component))

    def test_use_after_close_raises_not_open(self) -> None:
        async def body() -> None:
            async with self.opened() as component:
                pass
            with pytest.raises(NotOpenError):
                await self.use(component)

        self.run(body)


def promise(body: Callable[[C, Any], Coroutine[Any, Any, None]]) -> Callable[[C], None]:
    """Turn an async method into a test with an open component. Pytest does not see a coroutine."""

    def test(self: C) -> None:
        async def with_component() -> None:
            async with self.opened() as component:
                await body(self, component)

        self.run(with_component)

    # Not functools.wraps: pytest would follow __wrapped__ and treat the component as a fixture.
    test.__name__, test.__qualname__, test.__doc__ = body.__name__, body.__qualname__, body.__doc__
    test.__module__ = body.__module__
    return test


def _kit_members(cls: type) -> dict[str, Any]:
    """Return what a subclass may not replace: the kit's tests and its final helpers, by name."""
    members: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith(_KIT):
            members |= {name: value for name, value in vars(base).items() if _is_fixed(name, value)}
    return members


def _is_fixed(name: str, value: object) -> bool:
    return name.startswith("test_") or getattr(value, "__final__", False)


def _lookup(cls: type, name: str) -> Any:
    return next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)


def _checked_waivers(cls: type[Contract]) -> dict[str, str]:
    promises = [name for name in _kit_members(cls) if name.startswith("test_")]
    for name, reason in cls.waived.items():
        if name not in promises:
            near = difflib.get_close_matches(name, promises, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ContractBroken(f"{cls.__qualname__}.waived names {name!r}, which the contract does not promise{hint}")
        if not reason.strip():
            raise ContractBroken(f"{cls.__qualname__}.waived[{name!r}] gives no reason: say why it cannot be promised")
    return dict(cls.waived)


def _expected_to_fail(promised: Callable[..., None], *, reason: str) -> Callable[..., None]:
    @functools.wraps(promised)
    def waived(*args: Any, **kwargs: Any) -> None:
        promised(*args, **kwargs)

    waived._waives = promised  # type: ignore[attr-defined]
    # strict: a waiver that is no longer needed fails.
    marked: Callable[..., None] = pytest.mark.xfail(reason=f"waived: {reason}", strict=True)(waived)
    return marked


def _hidden(cls: type, name: str) -> str:
    what = f"{cls.__qualname__} replaces {name}, which belongs to the contract"
    if not name.startswith("test_"):
        return f"{what}; give your own helper another name"
    return f'{what}; give your own test another name, or say why the promise is not kept: waived = {{"{name}": "..."}}'
