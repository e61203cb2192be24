"""One world: a cache, an upstream and a dozen callers, for some thousand requests in waves."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import Any

import httpx
import msgspec

from semcache_core import SemanticCache
from semcache_core.errors import DependencyError
from semcache_core.http.asgi import SemanticCacheASGI
from semcache_core.http.route import Deployment
from semcache_core.http.wsgi import SemanticCacheWSGI
from semcache_core.testing import FrozenClock
from semcache_proxy.app import Proxy
from semcache_proxy.loopback import Served
from semcache_proxy.upstream import ForwardOptions
from semcache_proxy.upstream import Upstream as Address

from .asks import Ask, Asks
from .drivers import Outcome, over_asgi, over_http, over_wsgi
from .embedder import BlindEmbedder
from .oracle import Fault, Oracle
from .setups import Setup
from .upstream import Upstream
from .view import Terms

Wave = list[Ask]
Send = Callable[[Wave], Any]
_PATIENCE = 60.0


class Result(msgspec.Struct):
    """What happened in one world."""

    kinds: Counter[str]
    faults: list[str]


class Run(msgspec.Struct, frozen=True):
    """What one world is made of; equal runs with the ASGI driver send equal requests in an equal order."""

    setup: Setup
    seed: int
    world: int
    requests: int
    hazards: bool = True
    most_faults: int = 5
    """After so many the world ends."""
    judged_by: Terms | None = None
    """The terms that the oracle believes in, where a test wants it to be wrong."""

    @property
    def random(self) -> Random:
        """The world's own random numbers."""
        return Random(f"{self.seed}:{self.setup.name}:{self.world}")


def run(what: Run) -> Result:
    """Run a world, in an event loop of its own."""
    with tempfile.TemporaryDirectory(prefix="semcache-crossing-") as folder:
        return asyncio.run(_World(what, folder).run())


class _World:
    def __init__(self, what: Run, folder: str) -> None:
        terms = what.judged_by or what.setup.terms
        self.what, self.setup, self.folder = what, what.setup, folder
        self.random = what.random
        self.clock = FrozenClock()
        self.upstream = Upstream(terms, self.clock)
        self.oracle = Oracle(msgspec.structs.replace(what.setup, terms=terms), self.upstream)
        self.asks = Asks(self.random, terms, hazards=what.hazards, accents=bool(what.setup.verifiers))
        self.recent: deque[tuple[Ask, str]] = deque(maxlen=2000)
        self.result = Result(Counter(), [])
        embedder = BlindEmbedder(reads_numbers=what.setup.reads_numbers)
        self.cache = SemanticCache(
            what.setup.config(folder), clock=self.clock, embedder=embedder if what.setup.match == "semantic" else None
        )

    async def run(self) -> Result:
        sent = 0
        async with self._sending() as send:
            while sent < self.what.requests and len(self.result.faults) < self.what.most_faults:
                wave = self.asks.wave()
                self.upstream.asks.update((ask.number, ask) for ask in wave)
                self.upstream.wave += 1
                self.oracle.began = self.upstream.tick
                async with asyncio.timeout(_PATIENCE):
                    outcomes = await send(wave)
                for ask, outcome in zip(wave, outcomes, strict=True):
                    self._judge(ask, outcome)
                sent += len(wave)
                await self._between()
        return self.result

    def _judge(self, ask: Ask, outcome: Outcome) -> None:
        kind, fault = self.oracle.judge(ask, outcome)
        self.result.kinds[kind] += 1
        self.result.kinds["left"] += outcome.left
        self.recent.append((ask, kind))
        if fault is not None:
            self.result.faults.append(self._story(fault))

    async def _between(self) -> None:
        """Let what runs in the background go on for a while; let time pass, or invalidate."""
        for _ in range(self.random.choice((1, 1, 4, 16))):
            await asyncio.sleep(0)
        chance = self.random.random()
        if chance < 0.25:
            self.clock.advance(self.random.choice((0.1, 0.5, 1.5, 6, 20, 70, 200)))
        elif chance < 0.27:
            # A namespace is invalidated only seldom: afterwards everything is a miss.
            tag = self.random.choice(("t1", "t1", "t2", "t2", ""))
            await self._invalidate(tag)
            self.upstream.tick += 1
            self.oracle.invalidated[tag] = self.upstream.tick
            self.clock.advance(0.001)

    async def _invalidate(self, tag: str) -> None:
        """Invalidate, as an operator does: again, where the store of a busy machine could not be written in time."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                try:
                    await (self.cache.invalidate(tag=tag) if tag else self.cache.invalidate(namespace="default"))
                except DependencyError:
                    await asyncio.sleep(0.2)
                    self.clock.advance(0.2)
                else:
                    return

    def _story(self, fault: Fault) -> str:
        """Tell a fault: how to repeat it, and what happened to requests with the same text before."""
        ask, what = fault.ask, self.what
        words = {*ask.parts.text.split()} - {"please", "kindly", "the", "of"}
        like = [
            each for each in self.recent if words & {*each[0].parts.text.split()} and each[0].is_chat == ask.is_chat
        ]
        lines = [
            f"{fault.why}",
            f"  request {ask.number} of {ask.parts.caller.name!r}; again: python -m tests.crossing --seed {what.seed} "
            f"--setup {what.setup.name!r} --world {what.world}{'' if what.hazards else ' --no-hazards'}",
            f"  {_shown(ask)}",
            "  before it:",
            *(f"    {kind:13} {_shown(each)}" for each, kind in like[-13:-1]),
        ]
        return "\n".join(lines)

    # -- the three drivers ------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _sending(self) -> AsyncIterator[Send]:
        async with AsyncExitStack() as stack:
            if self.setup.driver == "asgi":
                yield await self._asgi(stack)
            elif self.setup.driver == "wsgi":
                yield self._wsgi(stack)
            else:
                yield await self._proxy(stack)

    async def _asgi(self, stack: AsyncExitStack) -> Send:
        await stack.enter_async_context(self.cache)
        anonymous = self.setup.terms.anonymous
        app = SemanticCacheASGI(
            self.upstream.asgi,
            cache=self.cache,
            deployment=Deployment(upstream="http://up.example", anonymous=True) if anonymous else Deployment(),
            identity=self.setup.identify,
        )

        async def send(wave: Wave) -> list[Outcome]:
            if len(wave) == 1:
                return [await over_asgi(app, wave[0])]
            return await asyncio.gather(*[over_asgi(app, ask) for ask in wave])

        return send

    def _wsgi(self, stack: AsyncExitStack) -> Send:
        app = SemanticCacheWSGI(self.upstream.wsgi, cache=self.cache, identity=self.setup.identify)
        threads = stack.enter_context(ThreadPoolExecutor(8))
        stack.push_async_callback(self.cache.__aexit__, None, None, None)
        loop = asyncio.get_running_loop()

        async def send(wave: Wave) -> list[Outcome]:
            return await asyncio.gather(*[loop.run_in_executor(threads, over_wsgi, app, ask) for ask in wave])

        return send

    async def _proxy(self, stack: AsyncExitStack) -> Send:
        terms = self.setup.terms
        upstream = stack.enter_context(Served(self.upstream.asgi, interface="asgi3"))
        proxy = Proxy(Address.parse(upstream.url), cache=self.cache, loopback=terms.anonymous, forward=ForwardOptions())
        served = stack.enter_context(Served(proxy))
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=30))

        async def send(wave: Wave) -> list[Outcome]:
            return await asyncio.gather(*[over_http(client, served.url, ask) for ask in wave])

        return send


def _shown(ask: Ask) -> str:
    headers = [(name.decode(), value.decode()[:60]) for name, value in ask.headers if name not in _DULL]
    return f"{ask.number} {ask.host}{ask.target} {headers} {ask.body[:300]!r} -> {ask.script}"


_DULL = (b"content-type", b"content-length", b"x-ask")
