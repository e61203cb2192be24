"""A request's body and an upstream's answer take memory and time in proportion, however they come in pieces."""

from __future__ import annotations

import asyncio
import gzip
import io
import time
from collections.abc import Callable
from typing import Any

import pytest

from semcache_core.errors import AnswerAborted
from semcache_core.http.asgi.messages import Incoming
from semcache_core.http.wsgi.environ import read_body

from .asgi_client import configured, serving

zstandard = pytest.importorskip("zstandard")

KIBIBYTE, MEBIBYTE = 1 << 10, 1 << 20
BOMBS = {
    "zstd": b"\x28\xb5\x2f\xfd\x00\x68" + b"\x02\x00\x10\x00" * 20_000,
    "gzip": gzip.compress(bytes(64 * MEBIBYTE)),
    "zstd, gzip": gzip.compress(b"\x28\xb5\x2f\xfd\x00\x38" + b"\x02\x00\x10\x00" * 400_000),
    "gzip, gzip": gzip.compress(gzip.compress(b"") * 200_000),
}


def incoming(pieces: int, size: int) -> Incoming:
    left = pieces - 1

    async def receive() -> dict[str, Any]:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": bytes(size), "more_body": left >= 0}

    return Incoming(receive, [{"type": "http.request", "body": bytes(size), "more_body": True}])


async def taken(source: Incoming) -> list[bytes]:
    """Return the pieces that the application receives of a body."""
    pieces = []
    while (message := await source.receive()).get("more_body"):
        pieces.append(message["body"])
    return [*pieces, message["body"]]


def test_a_body_in_single_bytes_takes_little_more_memory_than_its_length(peak: Callable[..., int]) -> None:
    async def main() -> None:
        source = incoming(100_000, 1)
        assert await source.rest(most=MEBIBYTE, announced=None) == bytes(100_001)

    assert peak(lambda: asyncio.run(main())) < 2 * MEBIBYTE


@pytest.mark.parametrize("most", [10 * MEBIBYTE, 1_500])
@pytest.mark.parametrize("pieces", [1, 2, 255, 256, 257, 1_000])
def test_the_application_receives_every_byte_of_a_body_in_many_pieces(pieces: int, most: int) -> None:
    async def main() -> None:
        source = incoming(pieces, 3)
        assert (await source.rest(most=most, announced=None) is None) == (3 * (pieces + 1) > most)
        received = await taken(source)
        assert b"".join(received) == bytes(3 * (pieces + 1))
        assert pieces > 255 or {len(piece) for piece in received} == {3}, "as it came"

    asyncio.run(main())


def test_a_body_that_is_too_large_reaches_a_wsgi_application_in_time_in_proportion(
    growth: Callable[..., float],
) -> None:
    def pass_on(length: int) -> None:
        environ = {"wsgi.input": io.BytesIO(bytes(length + 1)), "wsgi.input_terminated": True}
        body, passed = read_body(environ, most=length)
        assert body is None
        read = 0
        while piece := passed["wsgi.input"].read(KIBIBYTE):
            read += len(piece)
        assert read == length + 1

    # Sixteen times as long if what is left were copied for each piece.
    assert growth(pass_on, 2 * MEBIBYTE, 8 * MEBIBYTE) < 9


@pytest.mark.parametrize("coding", BOMBS)
@pytest.mark.parametrize("size", [64 * KIBIBYTE, 1 * KIBIBYTE])
def test_an_answer_that_unfolds_beyond_bounds_is_passed_on_to_its_caller_only(
    coding: str, size: int, peak: Callable[..., int]
) -> None:
    packed = BOMBS[coding]

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        head = [(b"content-type", b"application/json"), (b"content-encoding", coding.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        for at in range(0, len(packed), size):
            await asyncio.sleep(0)
            await send({"type": "http.response.body", "body": packed[at : at + size], "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def main() -> None:
        async with serving(answer, **configured(semcache={"match": "exact"})) as rig:
            began = time.thread_time()
            first, *others = await asyncio.gather(*(rig.client.chat() for _ in range(3)), return_exceptions=True)
            again = await rig.client.chat()
            assert time.thread_time() - began < 2
            assert not isinstance(first, BaseException)
            assert all(isinstance(each, AnswerAborted) for each in others), "half of it must not look whole"
            assert first.body == again.body == packed
            assert first.header("content-encoding") == again.header("content-encoding") == coding
            assert again.cache == "MISS"

    # Pieces, and what they unfold to.
    assert peak(lambda: asyncio.run(main())) < 48 * MEBIBYTE
