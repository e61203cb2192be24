"""Half an answer is never taken for a whole one: it is not stored, and nobody who waits for it gets it as whole."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

from semcache_core.errors import AnswerAborted

from .asgi_client import Response, Rig, Upstream, chunk, completion, says, serving, sse, stream, streams

ROUTE = {"route": [{"path": "/ask"}]}
ANSWER = json.dumps(completion()).encode()
PACKED = gzip.compress(ANSWER)
GZIP = [(b"content-encoding", b"gzip")]
LARGE = json.dumps(completion("word " * 400)).encode()
SMALL = {"semcache": {"max_body": 1024}}
USAGE = {"stream_options": {"include_usage": True}}


def length(*values: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-length", value) for value in values]


async def breaks(scope: Any, receive: Any, send: Any) -> None:
    await says(pieces=[ANSWER[:40], b""])(scope, receive, _unended(send))
    raise ConnectionResetError


async def returns_early(scope: Any, receive: Any, send: Any) -> None:
    await says(pieces=[ANSWER[:40], b""])(scope, receive, _unended(send))


def _unended(send: Any) -> Any:
    async def passed(message: Any) -> None:
        await send({**message, "more_body": True} if "body" in message else message)

    return passed


def finished(*, usage: bool = False) -> list[bytes]:
    """Return a stream with its finish reason and without its terminal event."""
    return stream("Paris", usage=usage)[:-1]


HALVES = [
    pytest.param(says(ANSWER, headers=length(b"999")), {}, id="shorter than announced"),
    pytest.param(says(ANSWER, headers=length(b"9")), {}, id="longer than announced"),
    pytest.param(says(ANSWER, headers=length(b"999", b"%d" % len(ANSWER))), {}, id="two lengths"),
    pytest.param(says(ANSWER, headers=length(b"999, %d" % len(ANSWER))), {}, id="a list of lengths"),
    pytest.param(says(ANSWER[:40]), {}, id="JSON without a length"),
    pytest.param(says(pieces=[ANSWER[:40], b""]), {}, id="JSON that a connection's end ends"),
    pytest.param(says(LARGE, headers=length(b"9999")), SMALL, id="too large to keep, and cut"),
    pytest.param(says(PACKED[:-9], headers=GZIP), {}, id="gzip"),
    pytest.param(says(PACKED[:-1], headers=GZIP), {}, id="gzip without its checksum"),
    pytest.param(says(gzip.compress(LARGE)[:-1], headers=GZIP), SMALL, id="gzip, too large to keep"),
    pytest.param(streams(stream("Paris")[:2]), {"stream": True}, id="a stream in its middle"),
    pytest.param(streams([*finished(), b'data: {"id":"x","cho']), {"stream": True}, id="a stream inside an event"),
    pytest.param(streams(finished()), {"stream": True, **USAGE}, id="a stream before the usage it was asked for"),
    pytest.param(breaks, {}, id="an application that raises"),
    pytest.param(returns_early, {}, id="an application that returns early"),
]


def split(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the members of the request, and the tables of the configuration."""
    tables = {name: value for name, value in options.items() if name == "semcache"}
    return {name: value for name, value in options.items() if name not in tables}, tables


def held_back(answer: Any, gate: asyncio.Event) -> Callable[..., Any]:
    async def held(scope: Any, receive: Any, send: Any) -> None:
        await gate.wait()
        await answer(scope, receive, send)

    return held


async def together(rig: Rig, upstream: Upstream, gate: asyncio.Event, **members: Any) -> list[Response | BaseException]:
    """Ask twice at once, the second while the first leads; return what became of each."""
    leading = asyncio.create_task(rig.client.chat(**members))
    while not upstream.calls:
        await asyncio.sleep(0)
    waiting = asyncio.create_task(rig.client.chat(**members))
    await asyncio.sleep(0.02)
    gate.set()
    return await asyncio.gather(leading, waiting, return_exceptions=True)


@pytest.mark.parametrize(("answer", "options"), HALVES)
def test_half_an_answer_is_not_stored(answer: Any, options: dict[str, Any]) -> None:
    members, tables = split(options)

    async def main() -> None:
        async with serving(answer, **tables) as rig:
            for _ in range(2):
                try:
                    response = await rig.client.chat(**members)
                except ConnectionResetError:
                    continue
                assert response.cache == "MISS"
            assert len(rig.upstream.calls) == 2

    asyncio.run(main())


@pytest.mark.parametrize(("answer", "options"), HALVES)
def test_nobody_who_waits_gets_half_an_answer_as_a_whole_one(answer: Any, options: dict[str, Any]) -> None:
    members, tables = split(options)

    async def main() -> None:
        gate = asyncio.Event()
        upstream = Upstream(held_back(answer, gate))
        async with serving(upstream, **tables) as rig:
            _, waiter = await together(rig, upstream, gate, **members)
            # It is told that the answer broke off; or it asked for itself, as long as it had nothing of it.
            assert isinstance(waiter, AnswerAborted) or len(upstream.calls) == 2

    asyncio.run(main())


WHOLE = [
    pytest.param(finished(), {}, id="a finished stream without a terminal event"),
    pytest.param(finished(usage=True), USAGE, id="the same with the usage that was asked for"),
    pytest.param(sse(chunk({"content": "Paris"})), {}, id="a terminal event without a finish reason"),
    pytest.param(
        sse(chunk({"content": "a"}), chunk({"content": "b"}, index=1), chunk({}, finish="stop")),
        {"n": 2},
        id="one of two choices unfinished",
    ),
]


@pytest.mark.parametrize(("pieces", "members"), WHOLE)
def test_a_stream_that_ends_by_its_own_rules_reaches_who_waits_and_is_not_stored(
    pieces: list[bytes], members: dict[str, Any]
) -> None:
    async def main() -> None:
        gate = asyncio.Event()
        upstream = Upstream(held_back(streams(pieces), gate))
        async with serving(upstream) as rig:
            leader, waiter = await together(rig, upstream, gate, stream=True, **members)
            assert isinstance(leader, Response)
            assert isinstance(waiter, Response)
            assert leader.body == waiter.body == b"".join(pieces)
            assert waiter.complete
            assert (await rig.client.chat(stream=True, **members)).cache == "MISS"

    asyncio.run(main())


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_is_not_stored(status: int) -> None:
    async def main() -> None:
        async with serving(says(b"", status=status, headers=length(b"40")), **ROUTE) as rig:
            for _ in range(2):
                assert (await rig.client.send("/ask", {"question": "What is due?"})).cache == "MISS"

    asyncio.run(main())


def test_the_head_of_an_answer_is_not_stored_for_its_body() -> None:
    async def main() -> None:
        route = {"route": [{"path": "/ask", "json": {"methods": ["HEAD", "POST"]}}]}
        async with serving(says(b"", headers=length(b"40")), **route) as rig:
            for _ in range(2):
                assert (await rig.client.send("/ask", {"question": "What is due?"}, method="HEAD")).cache == "MISS"

    asyncio.run(main())
