"""Test doubles: a frozen clock, an embedder that counts, a store that fails, an observer that records."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import re
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import msgspec
import numpy as np

from semcache_core.errors import EmbedderUnavailable, NotOpenError, StoreUnavailable, TextTooLong
from semcache_core.plugin import hookimpl
from semcache_core.protocols import Thresholds
from semcache_core.testing._samples import START
from semcache_core.types import Decision, Event, Fault, Notice, Vector


class FrozenClock:
    """A clock that moves only on request. Call it for the time; ``clock.now = ...`` sets it."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self.now += seconds


class CountingEmbedder:
    """A deterministic embedder without a model: texts that share words are near. It records the embedded texts.

    **It hides quality faults.** Words and letters are hashed, without meaning: "not refundable" is near "refundable"
    here, as in real models, but synonyms are far apart. Use it to test *that* a cache embeds, never *how well* it
    matches; that needs a real model.

    ``delay`` seconds pass in each call; ``fail`` makes each call raise it. Both may be changed while it is open.
    """

    batch_invariant = True

    def __init__(
        self,
        *,
        dimensions: int = 64,
        max_tokens: int | None = None,
        delay: float = 0.0,
        fail: Exception | None = None,
        recommended: Thresholds | None = Thresholds(safe=0.95, balanced=0.9, loose=0.85),  # noqa: B008  frozen
    ) -> None:
        self.dimensions = dimensions
        self.max_tokens = max_tokens
        self.recommended = recommended
        self.delay = delay
        self.fail = fail
        self.calls = 0
        self.texts: list[str] = []
        """Every text that was embedded, in order."""
        self._open = False

    @property
    def fingerprint(self) -> str:
        """Only the number of dimensions affects a vector here."""
        return f"counting/1/{self.dimensions}"

    async def embed(self, texts: Sequence[str]) -> Vector:
        """Return one unit vector per text, shape (len(texts), dimensions). Raises TextTooLong, and ``fail`` if set."""
        if not self._open:
            raise NotOpenError("the CountingEmbedder is not open: use it inside `async with`")
        self.calls += 1
        self.texts += texts
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.fail is not None:
            raise self.fail
        for text in texts:
            if self.max_tokens is not None and len(text.split()) > self.max_tokens:
                raise TextTooLong(f"a text has more than {self.max_tokens} words")
        return np.stack([self._vector(text) for text in texts]) if texts else np.empty((0, self.dimensions), np.float32)

    def _vector(self, text: str) -> Vector:
        words = re.findall(r"\w+", text.lower()) or [text]
        # Parts of words bring words with different endings closer; they weigh less than a common whole word.
        features = dict.fromkeys(words, 1.0) | {word[:4] + "*": 0.5 for word in words if len(word) > 4}
        vector = np.zeros(self.dimensions, dtype=np.float32)
        for feature, weight in features.items():
            digest = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            seed = int.from_bytes(digest, "big")
            vector += weight * np.random.default_rng(seed).standard_normal(self.dimensions).astype(np.float32)
        unit: Vector = vector / np.linalg.norm(vector)
        return unit

    async def __aenter__(self) -> Self:
        if self.fail is not None and isinstance(self.fail, EmbedderUnavailable):
            raise self.fail
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._open = False


class FlakyStore:
    """Wraps a store and makes chosen calls fail, hang or wait. It has the optional protocols of the wrapped store.

    ::

        store = FlakyStore(MemoryResponseStore())
        store.fail("get", times=2)      # the next two reads raise StoreUnavailable
        store.hang("set")               # every write hangs until heal()
        store.delay("delete", 0.1)
        store.heal()

    ``calls`` counts by method name. ``without`` hides methods: a store behind a network, for
    example, has no ``get_nowait``.
    """

    def __init__(self, inner: Any, *, without: Sequence[str] = ()) -> None:
        self.inner = inner
        self.calls: Counter[str] = Counter()
        self._trouble: dict[str, _Trouble] = {}
        # Set on the instance, not by __getattr__: an isinstance check of a runtime protocol does not call that.
        for name in dir(inner):
            if not name.startswith("_") and name not in without and callable(inspect.getattr_static(inner, name)):
                setattr(self, name, self._wrapped(name, getattr(inner, name)))

    def fail(self, *methods: str, error: Exception | None = None, times: int | None = None) -> None:
        """Make calls of these methods raise ``error``; they work again after ``times`` calls, or ``heal()``."""
        raised = error or StoreUnavailable("made to fail by FlakyStore")
        self._make_trouble(methods, lambda: _Trouble(error=raised, times=times))

    def hang(self, *methods: str, times: int | None = None) -> None:
        """Make calls of these methods wait until ``heal()``, after which they raise."""
        self._make_trouble(methods, lambda: _Trouble(released=asyncio.Event(), times=times))

    def delay(self, *methods: str, seconds: float) -> None:
        """Delay calls of these methods before they reach the store."""
        self._make_trouble(methods, lambda: _Trouble(seconds=seconds))

    def heal(self) -> None:
        """Let every call reach the store from now on."""
        for trouble in self._trouble.values():
            if trouble.released is not None:
                trouble.released.set()
        self._trouble.clear()

    def _make_trouble(self, methods: tuple[str, ...], make: Callable[[], _Trouble]) -> None:
        for method in methods:
            if not inspect.iscoroutinefunction(getattr(self.inner, method, None)):
                raise ValueError(f"{type(self.inner).__name__} has no async method {method!r} that could be disturbed")
            self._trouble[method] = make()

    def _wrapped(self, name: str, member: Any) -> Any:
        if not inspect.iscoroutinefunction(member):
            return member

        async def call(*arguments: Any, **options: Any) -> Any:
            self.calls[name] += 1
            trouble = self._trouble.get(name)
            if trouble is not None and trouble.take():
                await trouble.happen()
            return await member(*arguments, **options)

        return call

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None:
        done: bool | None = await self.inner.__aexit__(kind, error, trace)
        return done


class _Trouble(msgspec.Struct, kw_only=True):
    """What happens to a call before it reaches the store."""

    error: Exception | None = None
    released: asyncio.Event | None = None
    seconds: float = 0.0
    times: int | None = None

    def take(self) -> bool:
        if self.times is None:
            return True
        self.times -= 1
        return self.times >= 0

    async def happen(self) -> None:
        if self.seconds:
            await asyncio.sleep(self.seconds)
        if self.released is not None:
            await self.released.wait()
            raise StoreUnavailable("hung, and was let go by FlakyStore.heal()")
        if self.error is not None:
            raise self.error


class RecordingObserver:
    """A plugin that keeps every event, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    @hookimpl
    def semcache_observe(self, event: Event) -> None:
        """Keep the event."""
        self.events.append(event)

    @property
    def decisions(self) -> list[Decision]:
        """The decisions among the events."""
        return [event for event in self.events if isinstance(event, Decision)]

    @property
    def faults(self) -> list[Fault]:
        """The faults among the events."""
        return [event for event in self.events if isinstance(event, Fault)]

    @property
    def notices(self) -> list[Notice]:
        """The notices among the events."""
        return [event for event in self.events if isinstance(event, Notice)]

    def clear(self) -> None:
        """Drop the kept events."""
        self.events.clear()
