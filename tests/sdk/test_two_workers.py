"""Two uvicorn workers on one SQLite file: what one does, the other sees within a second, and either may be killed."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

QUESTION = "How do I reset my password?"
PARAPHRASE = "I need to reset my password, how do I do that?"
ROOMY = 100_000_000
WITHIN = 1.0


class Worker:
    """One worker process."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, str(Path(__file__).with_name("worker.py")), *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        url = self._process.stdout.readline().strip()
        # The address is bound before the server is up: the first request waits for it.
        # Workers of one service are asked under one name; another host would be another partition.
        self._client = httpx.Client(base_url=url, headers={"host": "cache.test"}, timeout=30, trust_env=False)
        self._client.get("/.semcache/health").raise_for_status()

    def kill(self) -> None:
        """End it as a crash would: no shut-down, nothing flushed."""
        self._client.close()
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def chat(self, key: str, text: str = QUESTION, **headers: str) -> tuple[str, str]:
        """Ask through the proxy; return the answer's text and what X-Cache says."""
        body = {"model": "m", "messages": [{"role": "user", "content": text}]}
        answer = self._client.post(
            "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}", **headers}
        )
        return answer.json()["choices"][0]["message"]["content"], answer.headers["x-cache"]

    def call(self, name: str, **arguments: Any) -> Any:
        """Call the cache's Python method of that name."""
        answer = self._client.post(f"/admin/{name}", json=arguments)
        answer.raise_for_status()
        return answer.json()


def within_a_second(seen: Callable[[], Any], expected: Any) -> None:
    """Ask until the answer is the expected one; a second after the call it must be."""
    deadline = time.monotonic() + WITHIN
    while (got := seen()) != expected:
        assert time.monotonic() < deadline, f"after {WITHIN} s it is still {got!r}, not {expected!r}"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def pair(scripted: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Worker, Worker]]:
    file = str(tmp_path_factory.mktemp("shared") / "cache.db")
    with ExitStack() as stack:
        workers = [Worker(scripted[1], file, str(ROOMY)) for _ in range(2)]
        for worker in workers:
            stack.callback(worker.kill)
        yield workers[0], workers[1]


@pytest.fixture
def one(pair: tuple[Worker, Worker]) -> Worker:
    return pair[0]


@pytest.fixture
def other(pair: tuple[Worker, Worker]) -> Worker:
    return pair[1]


@pytest.fixture
def topic() -> str:
    """Return a context of this test's own: its answers are shared with no other test."""
    return uuid.uuid4().hex


def test_an_answer_that_one_brought_is_the_others_too(one: Worker, other: Worker, upstream: Any, key: str) -> None:
    assert one.chat(key) == ("answer 1 of this server", "MISS")
    # The write is queued: a miss meanwhile would store an answer of its own, so the other looks without asking.
    time.sleep(WITHIN)
    assert other.chat(key) == ("answer 1 of this server", "HIT")
    assert len(upstream.calls) == 1


def test_an_answer_that_one_brought_answers_the_others_paraphrase(
    one: Worker, other: Worker, upstream: Any, key: str
) -> None:
    one.chat(key)
    time.sleep(WITHIN)
    assert other.chat(key, PARAPHRASE) == ("answer 1 of this server", "HIT")


def test_a_stored_value_is_seen_exactly_and_by_meaning(one: Worker, other: Worker, topic: str) -> None:
    assert one.call("store", prompt=QUESTION, value="old", context=topic)
    within_a_second(lambda: other.call("lookup", prompt=QUESTION, context=topic)["source"], "exact")
    within_a_second(lambda: other.call("lookup", prompt=PARAPHRASE, context=topic)["source"], "semantic")


def test_an_overwritten_answer_is_seen_by_the_other(one: Worker, other: Worker, upstream: Any, key: str) -> None:
    one.chat(key)
    time.sleep(WITHIN)
    assert other.chat(key)[0] == "answer 1 of this server"
    assert one.chat(key, **{"cache-control": "no-cache"})[0] == "answer 2 of this server"
    within_a_second(lambda: other.chat(key), ("answer 2 of this server", "HIT"))
    within_a_second(lambda: other.chat(key, PARAPHRASE), ("answer 2 of this server", "HIT"))


@pytest.mark.parametrize("text", [QUESTION, PARAPHRASE])
def test_an_answer_that_one_rejected_is_not_given_by_the_other(
    one: Worker, other: Worker, topic: str, text: str
) -> None:
    one.call("store", prompt=QUESTION, value="wrong", context=topic)
    within_a_second(lambda: other.call("lookup", prompt=text, context=topic)["value"], "wrong")
    one.call("reject", prompt=text, context=topic)
    within_a_second(lambda: other.call("lookup", prompt=text, context=topic)["value"], None)


def test_a_tag_that_one_invalidated_is_dead_for_the_other(one: Worker, other: Worker, topic: str) -> None:
    one.call("store", prompt=QUESTION, value="old", context=topic, tags=[topic])
    within_a_second(lambda: other.call("lookup", prompt=QUESTION, context=topic)["value"], "old")
    one.call("invalidate", tag=topic)
    within_a_second(lambda: other.call("lookup", prompt=QUESTION, context=topic)["value"], None)
    within_a_second(lambda: other.call("lookup", prompt=PARAPHRASE, context=topic)["value"], None)


def test_a_namespace_that_one_invalidated_is_dead_for_the_other(one: Worker, other: Worker, topic: str) -> None:
    one.call("store", prompt=QUESTION, value="old", namespace=topic)
    within_a_second(lambda: other.call("lookup", prompt=PARAPHRASE, namespace=topic)["value"], "old")
    one.call("invalidate", namespace=topic)
    within_a_second(lambda: other.call("lookup", prompt=PARAPHRASE, namespace=topic)["value"], None)


@pytest.mark.slow
def test_what_one_evicted_is_gone_for_the_other(scripted: Any, tmp_path: Path) -> None:
    with ExitStack() as stack:
        workers = [Worker(scripted[1], str(tmp_path / "small.db"), "300000", "exact") for _ in range(2)]
        for worker in workers:
            stack.callback(worker.kill)
        one, other = workers
        one.call("store", prompt="the first question", value="x" * 10_000)
        within_a_second(lambda: other.call("lookup", prompt="the first question")["source"], "exact")
        for number in range(60):
            one.call("store", prompt=f"question number {number}", value="x" * 10_000)
        within_a_second(lambda: other.call("lookup", prompt="the first question")["value"], None)
        within_a_second(lambda: other.call("lookup", prompt="question number 59")["source"], "exact")


@pytest.mark.slow
def test_a_killed_worker_takes_nothing_with_it(scripted: Any, tmp_path: Path) -> None:
    arguments = (scripted[1], str(tmp_path / "cache.db"), str(ROOMY), "exact")
    one, other = Worker(*arguments), Worker(*arguments)
    one.call("store", prompt=QUESTION, value="kept")
    one.kill()
    assert other.call("lookup", prompt=QUESTION)["value"] == "kept"
    assert other.call("store", prompt="Another question", value="also kept")
    again = Worker(*arguments)
    assert again.call("lookup", prompt=QUESTION)["value"] == "kept"
    assert again.call("lookup", prompt="Another question")["value"] == "also kept"
    other.kill()
    again.kill()
