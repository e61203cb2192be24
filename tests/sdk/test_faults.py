"""What happens around the cache when an upstream dies, a client leaves, or a hundred of them ask at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from openai import OpenAI

BODY = {"model": "small", "messages": [{"role": "user", "content": "How do I reset my password?"}]}
STREAM = BODY | {"stream": True}
PATH = "/v1/chat/completions"


@pytest.fixture
def headers(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def wait_until(condition: Callable[[], bool], *, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def crowd(url: str, body: dict[str, Any], headers: dict[str, str], *, size: int) -> list[httpx.Response]:
    """Send ``size`` equal requests at once and return every answer."""

    async def run() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=size)
        async with httpx.AsyncClient(base_url=url, timeout=20, limits=limits, trust_env=False) as client:
            return list(await asyncio.gather(*(client.post(PATH, json=body, headers=headers) for _ in range(size))))

    return asyncio.run(run())


def test_a_stream_that_dies_upstream_breaks_off_and_is_not_kept(
    proxy_url: str, upstream: Any, headers: dict[str, str]
) -> None:
    upstream.dies_after = 3
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(proxy_url + PATH, json=STREAM, headers=headers)
    upstream.dies_after = None
    again = httpx.post(proxy_url + PATH, json=STREAM, headers=headers)
    assert again.headers["x-cache"] == "MISS"
    assert again.text.endswith("data: [DONE]\n\n")


def test_a_client_that_leaves_ends_the_upstream_request_and_nothing_is_kept(
    proxy_url: str, upstream: Any, headers: dict[str, str]
) -> None:
    upstream.each_piece = threading.Semaphore(2)
    with httpx.stream("POST", proxy_url + PATH, json=STREAM, headers=headers) as response:
        next(response.iter_bytes())
    # One piece more finds out that nobody listens.
    wait_until(lambda: upstream.each_piece.release() or upstream.client_left.wait(0.05))
    upstream.each_piece = None
    assert httpx.post(proxy_url + PATH, json=STREAM, headers=headers).headers["x-cache"] == "MISS"


@pytest.mark.parametrize("body", [BODY, STREAM], ids=["whole", "stream"])
def test_a_hundred_equal_requests_make_one_upstream_call(
    proxy_url: str, upstream: Any, headers: dict[str, str], body: dict[str, Any]
) -> None:
    upstream.hold = threading.Event()
    threading.Timer(1.0, upstream.hold.set).start()
    answers = crowd(proxy_url, body, headers, size=100)
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.content for answer in answers} == {answers[0].content}
    assert len(upstream.calls) == 1


class Listener:
    """Asks for the stream in a thread; ``joined`` is set when its first piece has come."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self._url, self._headers = url, headers
        self.joined = threading.Event()
        self.text = ""
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        with httpx.stream("POST", self._url + PATH, json=STREAM, headers=self._headers, timeout=20) as answer:
            for piece in answer.iter_text():
                self.text += piece
                self.joined.set()

    def heard(self) -> str:
        self._thread.join(20)
        return self.text


def test_a_late_joiner_of_a_stream_gets_it_from_its_first_byte(
    proxy_url: str, upstream: Any, headers: dict[str, str]
) -> None:
    upstream.each_piece = threading.Semaphore(3)
    first = Listener(proxy_url, headers)
    assert first.joined.wait(20)
    late = Listener(proxy_url, headers)
    assert late.joined.wait(20)
    upstream.each_piece.release(100)
    assert first.heard() == late.heard()
    assert late.text.endswith("data: [DONE]\n\n")
    assert len(upstream.calls) == 1


def test_the_leader_of_a_flight_may_leave_while_others_wait(
    proxy_url: str, upstream: Any, headers: dict[str, str]
) -> None:
    upstream.each_piece = threading.Semaphore(1)
    with httpx.stream("POST", proxy_url + PATH, json=STREAM, headers=headers, timeout=20) as leader:
        # Kept: httpx closes an answer whose iterator is dropped.
        pieces = leader.iter_bytes()
        next(pieces)
        waiter = Listener(proxy_url, headers)
        assert waiter.joined.wait(20)
    upstream.each_piece.release(100)
    assert waiter.heard().endswith("data: [DONE]\n\n")
    assert len(upstream.calls) == 1


def test_a_failing_leader_does_not_make_the_others_queue(
    proxy_url: str, upstream: Any, headers: dict[str, str]
) -> None:
    upstream.failures = [500] * 10
    upstream.hold = threading.Event()
    threading.Timer(0.5, upstream.hold.set).start()
    answers = crowd(proxy_url, BODY, headers, size=10)
    # Each got an answer of the upstream's own, and nobody asked more than once.
    assert {answer.status_code for answer in answers} <= {200, 500}
    assert len(upstream.calls) <= 10


def test_ten_waiters_behind_a_failing_leader_wait_two_turns_at_most(
    proxy_url: str, upstream: Any, headers: dict[str, str]
) -> None:
    upstream.failures = [500] * 10
    upstream.seconds = 0.4
    started = time.monotonic()
    crowd(proxy_url, BODY, headers, size=10)
    # One turn for the leader, one for the next, one for all the others together: three of 0.4 s, never ten.
    assert time.monotonic() - started < 2.4


def test_an_unreachable_upstream_is_502_without_cache_status(
    proxy_url: str, upstream: Any, key: str, dead_proxy_url: str
) -> None:
    answer = httpx.post(dead_proxy_url + PATH, json=BODY, headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "upstream_unreachable"
    assert "cache-status" not in answer.headers


def test_what_nobody_claims_passes_untouched(proxy_url: str, upstream: Any, client: OpenAI) -> None:
    answer = httpx.get(proxy_url + "/v1/models")
    assert answer.status_code == 404
    assert "cache-status" not in answer.headers
