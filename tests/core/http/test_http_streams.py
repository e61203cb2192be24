"""Streams through the driver: forwarded at once, shared with equal requests, replayed; and clients who leave."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import random
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest

from semcache_core.errors import AnswerAborted

from .asgi_client import (
    Client,
    Exchange,
    Response,
    Rig,
    Upstream,
    chat,
    completion,
    events_of,
    says,
    serving,
    stream,
    streams,
)

CHAT = "/v1/chat/completions"
STREAM_HEAD = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}


class Paced:
    """An application whose stream goes on when told to, and that stops when its client leaves, as Starlette does."""

    is_app = True

    def __init__(self, pieces: list[bytes] | None = None) -> None:
        self.pieces = pieces if pieces is not None else stream("Paris", " is", " big", ".")
        self.calls = 0
        self.sent = 0
        self.cancelled = 0
        self.steps = asyncio.Semaphore(0)

    def go(self, steps: int = 1000) -> None:
        for _ in range(steps):
            self.steps.release()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls += 1
        while (await receive()).get("more_body"):
            pass
        leaving = asyncio.ensure_future(self._left(receive))
        streaming = asyncio.ensure_future(self._stream(send))
        try:
            await asyncio.wait({leaving, streaming}, return_when=asyncio.FIRST_COMPLETED)
            if not streaming.done():
                self.cancelled += 1
        finally:
            leaving.cancel()
            streaming.cancel()
        await asyncio.wait({streaming})
        if not streaming.cancelled():
            streaming.result()

    async def _left(self, receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _stream(self, send: Any) -> None:
        await send(STREAM_HEAD)
        for piece in self.pieces:
            await self.steps.acquire()
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            self.sent += 1
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def asking(client: Client, **members: Any) -> Exchange:
    """Return a streamed chat request that has not begun."""
    return client.open(CHAT, [json.dumps(chat(stream=True, **members)).encode()])


def has(count: int) -> Callable[[Response], bool]:
    """Return whether a response has so many pieces."""
    return lambda response: len(response.chunks) >= count


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something has become true."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


def paced(check: Callable[[Rig, Paced], Any], **tables: Any) -> None:
    """Run a check in front of a paced application."""

    async def main() -> None:
        app = Paced()
        async with serving(app, **tables) as rig:
            await check(rig, app)

    asyncio.run(main())


# -- forwarding -------------------------------------------------------------------------------------------------------


def test_every_piece_is_forwarded_at_once_and_unchanged() -> None:
    async def check(rig: Rig, app: Paced) -> None:
        one = asking(rig.client)
        task = one.start()
        await one.until(lambda response: response.status == 200)
        for count in range(1, len(app.pieces) + 1):
            app.go(1)
            await one.until(has(count))
            assert one.response.chunks[:count] == app.pieces[:count]
        await task
        assert one.response.complete

    paced(check)


def test_a_stream_replays_to_the_same_message() -> None:
    async def main() -> None:
        async with serving(streams(stream("Paris", " is", " big", usage=True))) as rig:
            members = {"stream": True, "stream_options": {"include_usage": True}}
            first, hit = [await rig.client.chat(**members) for _ in range(2)]
            assert (first.cache, hit.cache) == ("MISS", "HIT")
            texts = [
                "".join(e["choices"][0]["delta"].get("content", "") for e in events_of(r.body)[:-1] if e["choices"])
                for r in (first, hit)
            ]
            assert texts == ["Paris is big"] * 2
            assert events_of(first.body)[-2]["usage"] == events_of(hit.body)[-2]["usage"]

    asyncio.run(main())


def test_a_cached_stream_is_told_as_json_to_who_asked_for_json_and_the_reverse() -> None:
    async def main() -> None:
        async with serving(streams(stream("Paris", usage=True))) as rig:
            await rig.client.chat(stream=True)
            answer = await rig.client.chat()
            assert (answer.cache, answer.header("content-type")) == ("HIT", "application/json")
            assert answer.json()["choices"][0]["message"]["content"] == "Paris"
        async with serving() as rig:
            await rig.client.chat()
            answer = await rig.client.chat(stream=True)
            assert (answer.cache, answer.header("content-type")) == ("HIT", "text/event-stream; charset=utf-8")
            assert events_of(answer.body)[-1] == "[DONE]"

    asyncio.run(main())


def test_an_entry_that_lacks_what_a_mode_needs_is_replaced_by_the_new_answer() -> None:
    async def main() -> None:
        upstream = Upstream(streams(stream("Paris")))
        async with serving(upstream) as rig:
            await rig.client.chat(stream=True)
            upstream.answer = says()
            assert (await rig.client.chat()).cache == "MISS"
            assert rig.decisions[-1] == ("miss", "mode-missing")
            assert (await rig.client.chat()).cache == "HIT"
            assert (await rig.client.chat(stream=True)).cache == "HIT"

    asyncio.run(main())


def test_a_long_replay_is_sent_in_few_pieces() -> None:
    async def main() -> None:
        async with serving(says(completion("word " * 5000))) as rig:
            await rig.client.chat()
            hit = await rig.client.chat(stream=True)
            assert len(events_of(hit.body)) == 5004
            assert len(hit.chunks) < 100

    asyncio.run(main())


@pytest.mark.parametrize("streamed", [False, True])
def test_what_a_send_enters_it_leaves_in_the_same_task(streamed: bool) -> None:
    # Whoever stands around has context variables, time limits and cancel scopes around its send; nobody waits here.
    mark: ContextVar[int] = ContextVar("mark")
    timed_out: list[bool] = []

    async def entering(message: Any) -> None:
        token, task = mark.set(1), asyncio.current_task()
        try:
            async with asyncio.timeout(0.001):
                await asyncio.sleep(5)
        except TimeoutError:
            timed_out.append(True)
        await asyncio.sleep(0)
        await asyncio.create_task(asyncio.sleep(0.001))
        assert asyncio.current_task() is task
        mark.reset(token)

    async def main() -> None:
        async with serving(streams(stream("a", "b")) if streamed else says()) as rig:
            for expected in ("MISS", "HIT"):
                exchange = asking(rig.client) if streamed else rig.client.open(CHAT, [json.dumps(chat()).encode()])
                exchange.on_send = entering
                await exchange.run()
                assert exchange.response.complete
                assert exchange.response.cache == expected
            assert len(timed_out) >= 4

    asyncio.run(main())


def test_an_application_that_is_cancelled_while_its_send_waits_cancels_what_that_waits_for() -> None:
    async def check(rig: Rig, app: Paced) -> None:
        ended: list[str] = []

        async def at_work() -> None:
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                ended.append("work")
                raise

        async def waits(message: Any) -> None:
            try:
                await asyncio.create_task(at_work())
            except asyncio.CancelledError:
                ended.append("send")
                raise

        leader = asking(rig.client)
        leader.on_send = waits
        leading = leader.start()
        await asyncio.sleep(0.01)
        leading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leading
        await until(lambda: len(ended) == 2)
        assert ended == ["work", "send"]

    paced(check)


def test_a_send_that_fails_after_a_wait_fails_in_the_application() -> None:
    heard: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await says()(scope, receive, send)
        except OSError as error:
            heard.append(str(error))
            raise

    async def broken_pipe(message: Any) -> None:
        await asyncio.sleep(0.001)
        raise OSError("broken pipe")

    async def main() -> None:
        async with serving(app) as rig:
            exchange = asking(rig.client)
            exchange.on_send = broken_pipe
            with pytest.raises(OSError, match="broken pipe"):
                await exchange.run()
            assert heard == ["broken pipe"]

    asyncio.run(main())


# -- sharing ----------------------------------------------------------------------------------------------------------


def test_a_late_joiner_gets_the_stream_from_its_first_byte() -> None:
    async def check(rig: Rig, app: Paced) -> None:
        leader, joiner = asking(rig.client), asking(rig.client)
        leading = leader.start()
        app.go(3)
        await leader.until(has(3))
        joining = joiner.start()
        await joiner.until(has(3))
        app.go()
        await asyncio.gather(leading, joining)
        assert app.calls == 1
        assert joiner.response.body == leader.response.body
        assert joiner.response.complete
        assert joiner.response.cache_status == "semcache; fwd=miss; collapsed"
        assert [outcome for outcome, _ in rig.decisions] == ["miss", "miss"]

    paced(check)


def test_a_joiner_gets_stored_header_rules() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            await gate.wait()
            await says(headers=[(b"set-cookie", b"a=1"), (b"x-request-id", b"r")])(scope, receive, send)

        async with serving(slow) as rig:
            both = [asyncio.create_task(rig.client.chat()) for _ in range(2)]
            await asyncio.sleep(0)
            gate.set()
            leader, joiner = await asyncio.gather(*both)
            assert leader.header("set-cookie") == "a=1"
            assert joiner.headers == [
                (b"content-type", b"application/json"),
                (b"cache-control", b"private, no-store"),
                (b"cache-status", b"semcache; fwd=miss; collapsed"),
                (b"x-cache", b"MISS"),
            ]
            assert joiner.json() == leader.json()

    asyncio.run(main())


def test_a_joiner_of_a_generic_api_gets_its_own_cache_control() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            await gate.wait()
            await says({"answer": "rain"}, headers=[(b"cache-control", b"max-age=60")])(scope, receive, send)

        async with serving(slow, route=[{"path": "/ask"}]) as rig:
            question = {"question": "what is the weather like in Paris"}
            both = [asyncio.create_task(rig.client.send("/ask", question)) for _ in range(2)]
            await asyncio.sleep(0)
            gate.set()
            _, joiner = await asyncio.gather(*both)
            assert joiner.cache_status == "semcache; fwd=miss; collapsed"
            assert [value for name, value in joiner.headers if name == b"cache-control"] == [b"max-age=60"]

    asyncio.run(main())


@pytest.mark.parametrize("streamed", [False, True])
def test_a_hundred_equal_requests_make_one_call(streamed: bool) -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            await gate.wait()
            await (streams(stream("Paris")) if streamed else says())(scope, receive, send)

        async with serving(slow) as rig:
            asked = [asyncio.create_task(rig.client.chat(**({"stream": True} if streamed else {}))) for _ in range(100)]
            await asyncio.sleep(0.02)
            gate.set()
            answers = await asyncio.gather(*asked)
            assert len(rig.upstream.calls) == 1
            assert len({answer.body for answer in answers}) == 1
            assert all(answer.complete for answer in answers)

    asyncio.run(main())


@pytest.mark.parametrize(
    "other",
    [
        {"text": "another question here"},
        {"stream": True},
        {"service_tier": "flex"},
        {"user": "bob"},
        {"temperature": 0.3},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_differs_does_not_share_a_flight(other: dict[str, Any]) -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            await gate.wait()
            await says()(scope, receive, send)

        async with serving(slow) as rig:
            both = [asyncio.create_task(rig.client.chat()), asyncio.create_task(rig.client.chat(**other))]
            await asyncio.sleep(0.01)
            assert len(rig.upstream.calls) == 2
            gate.set()
            await asyncio.gather(*both)

    asyncio.run(main())


@pytest.mark.parametrize("value", [b"no-cache", b"no-store"])
def test_no_cache_and_no_store_neither_join_nor_lead(value: bytes) -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            await gate.wait()
            await says()(scope, receive, send)

        async with serving(slow) as rig:
            apart = [(b"cache-control", value)]
            asked = [asyncio.create_task(rig.client.chat(headers=apart)) for _ in range(2)]
            asked.append(asyncio.create_task(rig.client.chat()))
            await asyncio.sleep(0.01)
            assert len(rig.upstream.calls) == 3
            gate.set()
            await asyncio.gather(*asked)

    asyncio.run(main())


def test_an_answer_for_its_own_caller_only_is_not_shared() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def own(scope: Any, receive: Any, send: Any) -> None:
            await gate.wait()
            await says({"a": 1}, headers=[(b"set-cookie", b"session=1")])(scope, receive, send)

        async with serving(own, route=[{"path": "/ask"}]) as rig:
            body = {"question": "who am I to you"}
            asked = [asyncio.create_task(rig.client.send("/ask", body)) for _ in range(5)]
            await asyncio.sleep(0.01)
            assert len(rig.upstream.calls) == 1
            gate.set()
            answers = await asyncio.gather(*asked)
            assert len(rig.upstream.calls) == 5
            assert all(answer.header("set-cookie") == "session=1" for answer in answers)

    asyncio.run(main())


def test_an_answer_for_its_own_caller_only_lets_equal_requests_pass_at_once_for_a_while() -> None:
    async def main() -> None:
        gate = asyncio.Event()
        gate.set()

        async def own(scope: Any, receive: Any, send: Any) -> None:
            await gate.wait()
            await says({"a": 1}, headers=[(b"set-cookie", b"session=1")])(scope, receive, send)

        async with serving(own, route=[{"path": "/ask"}]) as rig:
            body = {"question": "who am I to you"}
            await rig.client.send("/ask", body)
            gate.clear()
            asked = [asyncio.create_task(rig.client.send("/ask", body)) for _ in range(3)]
            await asyncio.sleep(0.01)
            assert len(rig.upstream.calls) == 4
            gate.set()
            await asyncio.gather(*asked)

    asyncio.run(main())


def test_a_joiner_whose_vary_headers_differ_asks_alone() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def varies(scope: Any, receive: Any, send: Any) -> None:
            await gate.wait()
            agent = dict(scope["headers"])[b"user-agent"].decode()
            await says({"agent": agent}, headers=[(b"vary", b"User-Agent")])(scope, receive, send)

        async with serving(varies, route=[{"path": "/ask"}]) as rig:
            body = {"question": "what do I look like"}
            asked = [
                asyncio.create_task(rig.client.send("/ask", body, headers=[(b"user-agent", agent)]))
                for agent in (b"a", b"a", b"b")
            ]
            await asyncio.sleep(0.01)
            gate.set()
            answers = await asyncio.gather(*asked)
            assert [answer.json()["agent"] for answer in answers] == ["a", "a", "b"]
            assert len(rig.upstream.calls) == 2

    asyncio.run(main())


def test_ten_waiters_behind_a_failing_leader_are_not_serialised() -> None:
    """The next waiter leads once; when that fails too, all others go alone, at the same time."""

    async def main() -> None:
        running = most = 0

        async def fails(scope: Any, receive: Any, send: Any) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.02)
            running -= 1
            await says({"error": "x"}, status=500)(scope, receive, send)

        async with serving(fails) as rig:
            answers = await asyncio.gather(*[rig.client.chat() for _ in range(11)])
            assert {answer.status for answer in answers} == {500}
            assert len(rig.upstream.calls) == 11
            assert most == 9

    asyncio.run(main())


def test_a_leader_that_raises_leaves_the_next_one_to_lead() -> None:
    class OwnError(Exception):
        pass

    async def main() -> None:
        gate = asyncio.Event()
        upstream = Upstream()

        async def once(scope: Any, receive: Any, send: Any) -> None:
            if len(upstream.calls) == 1:
                await gate.wait()
                raise OwnError
            await says()(scope, receive, send)

        upstream.answer = once
        async with serving(upstream) as rig:
            asked = [asyncio.create_task(rig.client.chat()) for _ in range(4)]
            await asyncio.sleep(0.01)
            gate.set()
            results = await asyncio.gather(*asked, return_exceptions=True)
            assert isinstance(results[0], OwnError)
            assert [answer.json() for answer in results[1:]] == [completion()] * 3  # type: ignore[union-attr]
            assert len(upstream.calls) == 2

    asyncio.run(main())


def test_a_waiter_without_bytes_asks_alone_after_its_patience() -> None:
    async def main() -> None:
        upstream = Upstream()
        gate = asyncio.Event()

        async def hangs_first(scope: Any, receive: Any, send: Any) -> None:
            if len(upstream.calls) == 1:
                await gate.wait()
            await says()(scope, receive, send)

        upstream.answer = hangs_first
        async with serving(upstream, limits={"waiter_patience": 0.05}) as rig:
            leading = asyncio.create_task(rig.client.chat())
            await asyncio.sleep(0)
            answer = await asyncio.wait_for(rig.client.chat(), 2)
            assert answer.cache_status == "semcache; fwd=miss; detail=empty-scope"
            gate.set()
            await leading

    asyncio.run(main())


def test_a_flight_begun_before_a_stamp_is_not_joined_after_it_and_stores_nothing() -> None:
    async def check(rig: Rig, app: Paced) -> None:
        before = asking(rig.client)
        first = before.start()
        app.go(2)
        await before.until(has(2))
        rig.clock.advance(1)
        await rig.cache.invalidate(namespace="default")
        rig.clock.advance(1)
        after = asking(rig.client)
        second = after.start()
        await until(lambda: app.calls == 2)
        app.go()
        await asyncio.gather(first, second)
        assert after.response.cache_status == "semcache; fwd=miss; detail=empty-scope"

    paced(check)


# -- clients who leave ------------------------------------------------------------------------------------------------


def test_a_client_that_leaves_mid_stream_cancels_upstream_and_stores_nothing() -> None:
    async def check(rig: Rig, app: Paced) -> None:
        one = asking(rig.client)
        task = one.start()
        app.go(2)
        await one.until(has(2))
        one.leave()
        await asyncio.wait_for(task, 2)
        assert app.cancelled == 1
        app.go()
        assert (await rig.client.chat(stream=True)).cache == "MISS"

    paced(check)


def test_a_leader_that_leaves_goes_on_while_others_wait() -> None:
    async def check(rig: Rig, app: Paced) -> None:
        leader, joiner = asking(rig.client), asking(rig.client)
        leading, joining = leader.start(), joiner.start()
        app.go(2)
        await joiner.until(has(2))
        leader.leave()
        await asyncio.sleep(0.01)
        assert app.cancelled == 0
        app.go()
        await asyncio.gather(leading, joining)
        assert joiner.response.complete
        assert app.calls == 1
        assert (await rig.client.chat(stream=True)).cache == "HIT"

    paced(check)


def test_when_the_last_waiter_leaves_too_upstream_is_cancelled() -> None:
    async def check(rig: Rig, app: Paced) -> None:
        leader, joiner = asking(rig.client), asking(rig.client)
        leading, joining = leader.start(), joiner.start()
        app.go(2)
        await joiner.until(has(2))
        leader.leave()
        await asyncio.sleep(0)
        joiner.leave()
        await asyncio.wait_for(asyncio.gather(leading, joining), 2)
        assert app.cancelled == 1

    paced(check)


def test_a_waiter_that_leaves_disturbs_nobody() -> None:
    async def check(rig: Rig, app: Paced) -> None:
        leader, joiner = asking(rig.client), asking(rig.client)
        leading, joining = leader.start(), joiner.start()
        app.go(1)
        await joiner.until(has(1))
        joiner.leave()
        await asyncio.wait_for(joining, 2)
        app.go()
        await leading
        assert leader.response.complete
        assert (await rig.client.chat(stream=True)).cache == "HIT"

    paced(check)


@pytest.mark.parametrize("steps", range(4))
def test_a_waiter_that_leaves_as_its_answer_ends_breaks_nothing(steps: int) -> None:
    # A server says so of every client: once an answer is over, whoever listens is told that its client is gone.
    async def check(rig: Rig, app: Paced) -> None:
        unheard: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
        leader, joiner = asking(rig.client), asking(rig.client)

        async def leaves(message: Any) -> None:
            if message["type"] == "http.response.body" and not message["more_body"]:
                joiner.leave()
                for _ in range(steps):
                    await asyncio.sleep(0)

        joiner.on_send = leaves
        leading, joining = leader.start(), joiner.start()
        app.go()
        await asyncio.gather(leading, joining)
        await asyncio.sleep(0.001)
        assert unheard == []
        assert joiner.response.body == leader.response.body

    paced(check)


def test_a_leader_whose_send_fails_goes_on_while_others_wait() -> None:
    async def check(rig: Rig, app: Paced) -> None:
        leader, joiner = asking(rig.client), asking(rig.client)

        async def broken_pipe(message: Any) -> None:
            if leader.response.chunks:
                raise OSError("broken pipe")

        leader.on_send = broken_pipe
        leading, joining = leader.start(), joiner.start()
        app.go()
        await asyncio.gather(leading, joining)
        assert joiner.response.body == b"".join(app.pieces)
        assert joiner.response.complete

    paced(check)


def test_a_connection_that_broke_while_others_waited_is_told_of_once_they_have_left() -> None:
    async def check(rig: Rig, app: Paced) -> None:
        leader, joiner = asking(rig.client), asking(rig.client)
        gate = asyncio.Event()

        async def breaks(message: Any) -> None:
            if leader.response.chunks:
                await gate.wait()
                raise OSError("broken pipe")

        leader.on_send = breaks
        leading, joining = leader.start(), joiner.start()
        app.go(3)
        await joiner.until(has(3))
        joiner.leave()
        await joining
        gate.set()
        await asyncio.sleep(0.01)
        app.go()
        with pytest.raises(OSError, match="broken pipe"):
            await leading
        assert app.sent == 3
        unheard: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
        gc.collect()
        assert unheard == []

    paced(check)


def test_a_slow_reader_never_slows_the_leader() -> None:
    async def check(rig: Rig, app: Paced) -> None:
        slow, leader = asking(rig.client), asking(rig.client)
        gate = asyncio.Event()

        async def waits(message: Any) -> None:
            if slow.response.chunks:
                await gate.wait()

        slow.on_send = waits
        leading = leader.start()
        app.go(1)
        await leader.until(has(1))
        reading = slow.start()
        await slow.until(has(1))
        app.go()
        await asyncio.wait_for(leading, 2)
        assert leader.response.complete
        gate.set()
        await reading
        assert slow.response.body == leader.response.body

    paced(check)


def test_a_leader_that_reads_slowly_does_not_slow_who_waits() -> None:
    async def check(rig: Rig, app: Paced) -> None:
        leader, joiner = asking(rig.client), asking(rig.client)
        gate = asyncio.Event()

        async def waits(message: Any) -> None:
            if len(leader.response.chunks) >= 2:
                await gate.wait()

        leader.on_send = waits
        leading = leader.start()
        await asyncio.sleep(0)
        joining = joiner.start()
        app.go()
        await asyncio.wait_for(joining, 2)
        assert joiner.response.complete
        gate.set()
        await leading
        assert leader.response.body == joiner.response.body
        assert leader.response.complete

    paced(check)


@pytest.mark.parametrize("coded", [False, True])
def test_who_waits_for_an_answer_that_grows_over_the_cap_gets_all_of_it(coded: bool) -> None:
    async def main() -> None:
        gate = asyncio.Event()
        body = json.dumps(completion(random.Random(7).randbytes(6000).hex())).encode()
        sent = gzip.compress(body) if coded else body

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            headers = [(b"content-type", b"application/json"), *([(b"content-encoding", b"gzip")] if coded else [])]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await gate.wait()
            for at in range(0, len(sent), 600):
                await send({"type": "http.response.body", "body": sent[at : at + 600], "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        upstream = Upstream(answer)
        async with serving(upstream, semcache={"max_body": 4096}) as rig:
            leading = asyncio.create_task(rig.client.chat())
            await until(lambda: len(upstream.calls) == 1)
            waiting = asyncio.create_task(rig.client.chat())
            await asyncio.sleep(0.01)
            gate.set()
            assert (await leading).body == sent
            assert ((await waiting).body, len(upstream.calls)) == (body, 1)
            assert (await rig.client.chat()).cache == "MISS"

    asyncio.run(main())


def test_who_waits_for_an_answer_that_cannot_be_decoded_does_not_take_half_of_it_for_the_whole() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            headers = [(b"content-type", b"application/json"), (b"content-encoding", b"gzip")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await gate.wait()
            await send({"type": "http.response.body", "body": b"no gzip", "more_body": False})

        upstream = Upstream(answer)
        async with serving(upstream) as rig:
            leading = asyncio.create_task(rig.client.chat())
            await until(lambda: len(upstream.calls) == 1)
            waiting = asyncio.create_task(rig.client.chat())
            await asyncio.sleep(0.01)
            gate.set()
            assert (await leading).complete
            with pytest.raises(AnswerAborted):
                await waiting

    asyncio.run(main())


def test_a_stream_that_dies_under_its_waiters_does_not_look_whole() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def dies(scope: Any, receive: Any, send: Any) -> None:
            await send(STREAM_HEAD)
            await send({"type": "http.response.body", "body": stream("a")[0], "more_body": True})
            await gate.wait()
            raise ConnectionResetError

        async with serving(dies) as rig:
            leader, joiner = asking(rig.client), asking(rig.client)
            leading, joining = leader.start(), joiner.start()
            await joiner.until(has(1))
            gate.set()
            await asyncio.gather(leading, joining, return_exceptions=True)
            assert not leader.response.complete
            assert not joiner.response.complete
            assert isinstance(leading.exception(), ConnectionResetError)
            # Not only left without its end: a middleware around may give it one.
            assert isinstance(joining.exception(), AnswerAborted)

    asyncio.run(main())
