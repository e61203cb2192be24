"""What takes long to read, to frame or to judge is not done on the event loop; what is short is, without a detour."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from semcache_core import SemanticCache
from semcache_core.engine.offload import LONG
from semcache_core.http.context import DriverContext
from semcache_core.http.exchange import Exchange
from semcache_core.http.request import RequestHead
from semcache_core.http.route import Deployment
from semcache_core.http.steps import Forward, Pass, Serve, Step
from semcache_core.types import Headers

from .asgi_client import completion, configured

PATH = b"/v1/chat/completions"
JSON = ((b"content-type", b"application/json"),)


class Watched:
    """An extractor or recorder that notes, for each call, whether it came on the event loop."""

    def __init__(self, inner: Any, calls: list[tuple[str, bool]]) -> None:
        self._inner, self._calls = inner, calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in ("extract", "recorder", "reply", "finish"):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            if name != "recorder":
                self._calls.append((name, threading.current_thread() is threading.main_thread()))
            made = found(*arguments, **options)
            return Watched(made, self._calls) if name == "recorder" else made

        return call


class Cache:
    """An open cache, asked through exchanges, whose extractor is watched."""

    def __init__(self, context: DriverContext) -> None:
        self.context = context
        self.calls: list[tuple[str, bool]] = []
        route = context.resolve("POST", PATH)
        assert route is not None
        watched: Any = Watched(route.extractor, self.calls)
        self.route = msgspec.structs.replace(route, extractor=watched, answers=watched)

    async def open(
        self, body: bytes, *, coding: bytes | None = None, headers: Headers = (), caller: bytes = b"alice"
    ) -> tuple[Exchange, Step]:
        coded = () if coding is None else ((b"content-encoding", coding),)
        all_headers = ((b"host", b"api"), (b"authorization", b"Bearer " + caller), *coded, *headers)
        head = RequestHead("POST", "http", "", PATH, b"", all_headers)
        exchange = Exchange(self.context, self.route, head, self.context.engine.clock())
        return exchange, await exchange.open(body)

    async def answer(self, body: bytes, answer: bytes, *, coding: bytes | None = None) -> None:
        """Ask, and let upstream answer."""
        _, step = await self.open(body, coding=coding)
        assert isinstance(step, Forward)
        await step.answer.head(200, JSON)
        await step.answer.feed(answer, more=False)
        await step.answer.end()
        step.answer.close()


@asynccontextmanager
async def opened(**tables: Any) -> AsyncIterator[Cache]:
    async with SemanticCache.from_config(configured(semcache={"match": "exact"}, **tables)) as cache:
        yield Cache(DriverContext(cache.lifecycle.here(), Deployment()))


def run(test: Callable[[Cache], Awaitable[None]], **tables: Any) -> None:
    async def main() -> None:
        async with opened(**tables) as cache:
            await test(cache)

    asyncio.run(main())


def chat(text: str, **members: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}], **members}).encode()


def said(words: int) -> bytes:
    answer = completion()
    answer["choices"][0]["message"]["content"] = "word " * words
    return json.dumps(answer).encode()


SHORT, LENGTHY = chat("a question"), chat("word " * LONG)
CODED = gzip.compress(SHORT)
HUGE = chat("word " * 300_000)


@pytest.mark.parametrize(
    ("body", "coding", "on_loop"),
    [(SHORT, None, True), (LENGTHY, None, False), (CODED, b"gzip", False), (HUGE, None, False)],
    ids=["short", "long", "coded", "huge"],
)
def test_a_body_is_read_on_the_loop_only_if_it_is_short(body: bytes, coding: bytes | None, on_loop: bool) -> None:
    async def test(cache: Cache) -> None:
        await cache.answer(body, said(5), coding=coding)
        assert cache.calls == [("extract", on_loop), ("finish", True)]
        cache.calls.clear()
        _, step = await cache.open(body, coding=coding)
        assert isinstance(step, Serve)
        assert cache.calls == [("reply", True)], "a repeat of the same bytes is not read"

    run(test)


@pytest.mark.parametrize(("body", "on_loop"), [(SHORT, True), (LENGTHY, False), (HUGE, False)])
def test_a_known_body_whose_entry_is_gone_is_read_in_the_same_place(body: bytes, on_loop: bool) -> None:
    async def test(cache: Cache) -> None:
        for _ in range(2):
            exchange, step = await cache.open(body)
            assert isinstance(step, Forward)
            exchange.close()
        assert cache.calls == [("extract", on_loop)] * 2

    run(test)


@pytest.mark.parametrize(("words", "on_loop"), [(5, True), (4 * LONG, False)])
def test_a_long_answer_is_judged_and_framed_as_a_stream_off_the_loop(words: int, on_loop: bool) -> None:
    async def test(cache: Cache) -> None:
        await cache.answer(SHORT, said(words))
        for streamed in (False, True):
            _, step = await cache.open(chat("a question", stream=streamed))
            assert isinstance(step, Serve)
            assert b"".join(step.replay.chunks).count(b"word") == words
        judged, whole, streamed_reply = [call for call in cache.calls if call[0] != "extract"]
        assert judged == ("finish", on_loop)
        assert whole == ("reply", True), "the stored body as it is"
        assert streamed_reply == ("reply", on_loop)

    run(test)


def test_a_long_answer_is_stored_although_its_caller_leaves_at_its_end() -> None:
    async def test(cache: Cache) -> None:
        _, step = await cache.open(SHORT)
        assert isinstance(step, Forward)
        await step.answer.head(200, JSON)
        await step.answer.feed(said(4 * LONG), more=False)
        ending = asyncio.create_task(step.answer.end())
        await asyncio.sleep(0)
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
        step.answer.close()
        for _ in range(500):
            _, again = await cache.open(SHORT)
            if isinstance(again, Serve):
                return
            await asyncio.sleep(0.01)
        pytest.fail("it was not stored")

    run(test)


def test_what_finds_no_place_to_be_read_is_forwarded() -> None:
    async def test(cache: Cache) -> None:
        asked = [asyncio.create_task(cache.open(LENGTHY + b" " * number)) for number in range(6)]
        steps = [(await each)[1] for each in asked]
        passed = [step for step in steps if isinstance(step, Pass)]
        assert len(passed) == 3
        assert all(b"reader-busy" in dict(step.fields or ())[b"cache-status"] for step in passed)

    run(test, limits={"body_queue": 2})


@pytest.mark.parametrize(
    "headers",
    [
        tuple((b"x-%d" % number, b"a") for number in range(300)),
        ((b"cookie", b"a=eyJ; " * 10_000),),
        ((b"x-context", b"a" * 40_000),),
    ],
    ids=["fields", "cookies", "value"],
)
def test_a_request_with_a_huge_head_is_forwarded_unread(headers: Headers) -> None:
    async def test(cache: Cache) -> None:
        _, step = await cache.open(SHORT, headers=headers)
        assert isinstance(step, Pass)
        assert b"head-too-large" in dict(step.fields or ())[b"cache-status"]
        assert cache.calls == []

    run(test)


def test_a_request_with_the_head_of_a_browser_is_not() -> None:
    async def test(cache: Cache) -> None:
        fields = tuple((b"x-%d" % number, b"a") for number in range(100))
        _, step = await cache.open(SHORT, headers=(*fields, (b"cookie", b"a=eyJ; " * 1_000)))
        assert isinstance(step, Forward)
        step.answer.close()

    run(test)


def test_an_answer_with_a_huge_head_is_passed_on_and_not_stored() -> None:
    headers = tuple((b"x-%d" % number, b"a") for number in range(300))

    async def test(cache: Cache) -> None:
        for _ in range(2):
            _, step = await cache.open(SHORT)
            assert isinstance(step, Forward)
            sent = await step.answer.head(200, (*JSON, *headers))
            assert isinstance(sent, list)
            assert sent[: len(headers) + 1] == [*JSON, *headers]
            await step.answer.feed(said(5), more=False)
            await step.answer.end()
            step.answer.close()

    run(test)


def test_a_long_body_of_one_caller_does_not_wait_for_all_those_of_another() -> None:
    async def test(cache: Cache) -> None:
        theirs = [asyncio.create_task(cache.open(LENGTHY + b" " * number, caller=b"mallory")) for number in range(10)]
        await asyncio.sleep(0)
        await cache.open(LENGTHY, caller=b"alice")
        assert sum(task.done() for task in theirs) <= 3
        await asyncio.gather(*theirs)

    run(test)


def test_a_long_piece_of_an_answer_lets_others_have_their_turn() -> None:
    async def test(cache: Cache) -> None:
        _, step = await cache.open(SHORT)
        assert isinstance(step, Forward)
        await step.answer.head(200, ((b"content-type", b"text/event-stream"),))
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        await step.answer.feed(b'data: {"choices":[]}\n\n' * LONG, more=True)
        task.cancel()
        step.answer.close()
        assert turns >= 20

    run(test)
