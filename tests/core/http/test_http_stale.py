"""Stale answers over HTTP: while one refresh runs, in place of a failing upstream, and never once they are dead."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from .asgi_client import Client, Upstream, chat, completion, says, serving, stream, streams

REVALIDATE = {"semcache": {"ttl": 100, "stale_while_revalidate": 50}}
IF_ERROR = {"semcache": {"ttl": 100, "stale_if_error": 50}}


async def settled(condition: Any) -> None:
    """Wait until background work is done."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


def test_while_revalidating_the_old_answer_is_served_and_one_refresh_runs() -> None:
    async def main() -> None:
        upstream = Upstream()
        async with serving(upstream, **REVALIDATE) as rig:
            await rig.client.chat()
            rig.clock.advance(112)
            upstream.answer = says(completion("A newer answer."))
            stale = [await rig.client.chat() for _ in range(2)]
            assert {answer.cache_status for answer in stale} <= {
                "semcache; hit; ttl=-12; detail=exact",
                "semcache; hit; ttl=100; detail=exact",
            }
            assert (stale[0].cache, stale[0].json()) == ("STALE", completion())
            await settled(lambda: len(upstream.calls) == 2)
            await asyncio.sleep(0.01)
            fresh = await rig.client.chat()
            assert (fresh.cache, fresh.json()) == ("HIT", completion("A newer answer."))
            assert len(upstream.calls) == 2

    asyncio.run(main())


def test_the_refresh_asks_what_the_current_caller_asked_in_full() -> None:
    async def main() -> None:
        upstream = Upstream()
        async with serving(upstream, **REVALIDATE) as rig:
            await rig.client.chat("what is the weather like in Paris")
            rig.clock.advance(110)
            body = json.dumps(chat("what is the weather like in Paris?")).encode()
            assert (await rig.client.send("/v1/chat/completions", [body[:9], body[9:]])).cache == "STALE"
            await settled(lambda: len(upstream.bodies) == 2)
            assert b"".join(upstream.bodies[1]) == body
            await asyncio.sleep(0.01)
            assert (
                await rig.client.chat("what is the weather like in Paris?")
            ).cache_status == "semcache; hit; ttl=100; detail=exact"

    asyncio.run(main())


def test_a_refresh_that_streams_never_hears_of_a_disconnect() -> None:
    async def main() -> None:
        heard: list[Any] = []

        async def starlette_like(scope: Any, receive: Any, send: Any) -> None:
            listening = asyncio.ensure_future(receive())
            await streams(stream("Paris"))(scope, receive, send)
            await asyncio.sleep(0)
            heard.append(listening.done())
            listening.cancel()

        upstream = Upstream(starlette_like)
        async with serving(upstream, **REVALIDATE) as rig:
            await rig.client.chat(stream=True)
            rig.clock.advance(110)
            await rig.client.chat(stream=True)
            await settled(lambda: len(heard) == 2)
            assert heard == [False, False]

    asyncio.run(main())


def test_a_refresh_that_fails_reaches_nobody() -> None:
    async def breaks(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        upstream = Upstream()
        async with serving(upstream, **REVALIDATE) as rig:
            await rig.client.chat()
            rig.clock.advance(110)
            upstream.answer = breaks
            assert (await rig.client.chat()).cache == "STALE"
            await settled(lambda: rig.cache.stats().errors)
            assert (await rig.client.chat()).cache == "STALE"

    asyncio.run(main())


def test_a_refresh_that_may_not_be_stored_is_not_tried_at_every_request() -> None:
    async def main() -> None:
        upstream = Upstream()
        async with serving(upstream, **REVALIDATE) as rig:
            await rig.client.chat()
            rig.clock.advance(110)
            cut_off = completion()
            cut_off["choices"][0]["finish_reason"] = "length"
            upstream.answer = says(cut_off)
            assert (await rig.client.chat()).cache == "STALE"
            await settled(lambda: len(upstream.calls) == 2)
            await asyncio.sleep(0.01)
            assert (await rig.client.chat()).cache == "STALE"
            await asyncio.sleep(0.01)
            assert len(upstream.calls) == 2

    asyncio.run(main())


def test_a_caller_who_wants_nothing_stored_refreshes_nothing() -> None:
    async def main() -> None:
        upstream = Upstream()
        async with serving(upstream, **REVALIDATE) as rig:
            await rig.client.chat()
            rig.clock.advance(110)
            assert (await rig.client.chat(headers=[(b"cache-control", b"no-store")])).cache == "STALE"
            await asyncio.sleep(0.01)
            assert len(upstream.calls) == 1

    asyncio.run(main())


def test_beyond_the_window_nothing_stale_is_served() -> None:
    async def main() -> None:
        async with serving(**REVALIDATE) as rig:
            await rig.client.chat()
            rig.clock.advance(150)
            assert (await rig.client.chat()).cache == "MISS"

    asyncio.run(main())


def test_a_stamped_entry_is_not_served_while_revalidating() -> None:
    async def main() -> None:
        async with serving(**REVALIDATE) as rig:
            await rig.client.chat()
            rig.clock.advance(110)
            await rig.cache.invalidate(namespace="default")
            assert (await rig.client.chat()).cache == "MISS"

    asyncio.run(main())


# -- stale-if-error ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_a_stale_answer_stands_in_for_a_failing_upstream(status: int) -> None:
    async def main() -> None:
        upstream = Upstream()
        async with serving(upstream, **IF_ERROR) as rig:
            await rig.client.chat()
            rig.clock.advance(110)
            upstream.answer = says({"error": "down"}, status=status)
            answer = await rig.client.chat()
            assert (answer.status, answer.cache, answer.json()) == (200, "STALE", completion())
            assert answer.cache_status == f"semcache; fwd=stale; fwd-status={status}; detail=stale-if-error"
            assert answer.header("age") == "110"
            assert rig.decisions == [("miss", "absent"), ("stale", "stale-if-error")] or len(rig.decisions) == 2

    asyncio.run(main())


@pytest.mark.parametrize("status", [400, 404, 422])
def test_an_answer_that_is_the_callers_own_fault_is_passed_on(status: int) -> None:
    async def main() -> None:
        upstream = Upstream()
        async with serving(upstream, **IF_ERROR) as rig:
            await rig.client.chat()
            rig.clock.advance(110)
            upstream.answer = says({"error": "no"}, status=status)
            assert (await rig.client.chat()).status == status

    asyncio.run(main())


def test_a_stale_answer_stands_in_for_an_upstream_that_raises_and_the_error_is_still_raised() -> None:
    async def breaks(scope: Any, receive: Any, send: Any) -> None:
        raise TimeoutError

    async def main() -> None:
        upstream = Upstream()
        async with serving(upstream, **IF_ERROR) as rig:
            await rig.client.chat()
            rig.clock.advance(110)
            upstream.answer = breaks
            exchange = rig.client.open("/v1/chat/completions", [json.dumps(chat()).encode()])
            with pytest.raises(TimeoutError):
                await exchange.run()
            assert (exchange.response.cache, exchange.response.json()) == ("STALE", completion())
            assert exchange.response.cache_status == "semcache; fwd=stale; detail=stale-if-error"

    asyncio.run(main())


def test_a_stale_json_answer_stands_in_for_a_failing_stream() -> None:
    async def main() -> None:
        upstream = Upstream()
        async with serving(upstream, **IF_ERROR) as rig:
            await rig.client.chat()
            rig.clock.advance(110)
            upstream.answer = says({"error": "down"}, status=503)
            answer = await rig.client.chat(stream=True)
            assert answer.header("content-type") == "text/event-stream; charset=utf-8"
            assert answer.body.endswith(b"data: [DONE]\n\n")

    asyncio.run(main())


def test_a_dead_answer_stands_in_for_nothing() -> None:
    async def main() -> None:
        upstream = Upstream()
        async with serving(upstream, **IF_ERROR) as rig:
            await rig.client.chat()
            rig.clock.advance(110)
            await rig.cache.invalidate(namespace="default")
            upstream.answer = says({"error": "down"}, status=503)
            assert (await rig.client.chat()).status == 503

    asyncio.run(main())


def test_an_answer_that_dies_while_upstream_is_asked_stands_in_for_nothing() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def fails_late(scope: Any, receive: Any, send: Any) -> None:
            await gate.wait()
            await says({"error": "overloaded"}, status=503)(scope, receive, send)

        upstream = Upstream()
        async with serving(upstream, **IF_ERROR) as rig:
            await rig.client.chat()
            rig.clock.advance(110)
            upstream.answer = fails_late
            asked = asyncio.create_task(rig.client.chat())
            await settled(lambda: len(upstream.calls) == 2)
            await rig.cache.invalidate(namespace="default")
            gate.set()
            assert (await asked).status == 503

    asyncio.run(main())


def test_another_callers_stale_answer_stands_in_for_nothing() -> None:
    async def main() -> None:
        upstream = Upstream()
        async with serving(upstream, **IF_ERROR) as rig:
            await rig.client.chat()
            rig.clock.advance(110)
            upstream.answer = says({"error": "down"}, status=503)
            bob = Client(rig.client.app, headers=[(b"authorization", b"Bearer bob")])
            assert (await bob.chat()).status == 503

    asyncio.run(main())


def test_equal_requests_behind_a_failing_upstream_each_get_the_stale_answer() -> None:
    async def main() -> None:
        upstream = Upstream()
        async with serving(upstream, **IF_ERROR) as rig:
            await rig.client.chat()
            rig.clock.advance(110)

            async def slowly_down(scope: Any, receive: Any, send: Any) -> None:
                await asyncio.sleep(0.01)
                await says({"error": "down"}, status=503)(scope, receive, send)

            upstream.answer = slowly_down
            answers = await asyncio.gather(*[rig.client.chat() for _ in range(5)])
            assert [answer.cache for answer in answers] == ["STALE"] * 5

    asyncio.run(main())


# -- answers that forbid it -------------------------------------------------------------------------------------------

STALE_ASK = {
    "semcache": {"ttl": 100, "stale_while_revalidate": 50, "stale_if_error": 50},
    "route": [{"path": "/ask"}],
}
QUESTION = {"question": "what is the weather like in Paris"}


async def asked_late(said: bytes, *, tables: dict[str, Any] = STALE_ASK, headers: Any = ()) -> tuple[str | None, int]:
    """Return what comes of a request for an answer of a generic API that expired, while the API is down."""
    upstream = Upstream(says({"answer": "rain"}, headers=[(b"cache-control", said)]))
    async with serving(upstream, **tables) as rig:
        await rig.client.send("/ask", QUESTION)
        assert (await rig.client.send("/ask", QUESTION)).cache == "HIT"
        rig.clock.advance(110)
        upstream.answer = says({"error": "down"}, status=503)
        late = await rig.client.send("/ask", QUESTION, headers=headers)
        return late.cache, late.status


@pytest.mark.parametrize(
    "said", [b"must-revalidate", b"max-age=100, Must-Revalidate", b"proxy-revalidate", b"s-maxage=100"]
)
@pytest.mark.parametrize("headers", [[], [(b"cache-control", b"max-stale")]])
def test_an_answer_that_must_be_revalidated_is_never_served_stale(said: bytes, headers: Any) -> None:
    assert asyncio.run(asked_late(said, headers=headers)) == ("MISS", 503)


@pytest.mark.parametrize("said", [b"max-age=100", b"s-maxage=100, stale-if-error=20"])
def test_an_answer_that_does_not_say_so_is(said: bytes) -> None:
    assert asyncio.run(asked_late(said)) == ("STALE", 200)


def test_where_cache_control_of_answers_is_ignored_it_forbids_nothing() -> None:
    tables = {**STALE_ASK, "http": {"identity_secret": "x" * 32, "cache_control": "ignore"}}
    assert asyncio.run(asked_late(b"must-revalidate", tables=tables)) == ("STALE", 200)
