"""What every HTTP driver does, under real servers: ASGI under uvicorn, WSGI under gunicorn (two kinds) and waitress."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

FOLDER = Path(__file__).parent
CHAT = "/v1/chat/completions"
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}

SERVERS = {
    "uvicorn": ["uvicorn", "--host", "127.0.0.1", "--port", "PORT", "--log-level", "warning", "driver_app:asgi"],
    "uvicorn without lifespan": [
        *("uvicorn", "--host", "127.0.0.1", "--port", "PORT", "--log-level", "warning", "--lifespan", "off"),
        "driver_app:asgi",
    ],
    "gunicorn sync": ["gunicorn", "--bind", "127.0.0.1:PORT", "--log-level", "warning", "driver_app:wsgi"],
    "gunicorn gthread": [
        *("gunicorn", "--bind", "127.0.0.1:PORT", "--log-level", "warning", "--preload"),
        *("--worker-class", "gthread", "--threads", "12", "driver_app:wsgi"),
    ],
    "waitress": ["waitress", "--listen=127.0.0.1:PORT", "--threads=12", "driver_app:wsgi"],
}
IN_CI = {"uvicorn without lifespan", "gunicorn sync", "gunicorn gthread"}
"""Servers whose turn comes with the slow tests; the others show both drivers each time."""
ONE_AT_A_TIME = {"gunicorn sync"}
"""Servers that answer one request after the other: nobody ever waits for a request that is under way."""


@dataclass
class Server:
    """One server with the scripted application. Each test asks questions of its own."""

    name: str
    base: str

    def ask(
        self, question: Any, *, path: str = "/ask", headers: dict[str, str] | None = None, **script: Any
    ) -> httpx.Response:
        return httpx.post(
            self.base + path, json=self.body(question, path), headers=self.head(question, headers, script), timeout=30
        )

    def stream(self, question: Any, *, path: str = "/ask", **script: Any) -> Any:
        return httpx.stream(
            "POST",
            self.base + path,
            json=self.body(question, path),
            headers=self.head(question, None, script),
            timeout=30,
        )

    def body(self, question: Any, path: str) -> dict[str, Any]:
        if isinstance(question, dict):
            return question
        return {"model": "m", "messages": [{"role": "user", "content": question}]} if path == CHAT else {"q": question}

    def head(self, question: Any, headers: dict[str, str] | None, script: dict[str, Any]) -> dict[str, str]:
        name = question if isinstance(question, str) else json.dumps(question, sort_keys=True)[:60]
        return {"authorization": "Bearer alice", "x-count": name, "x-script": json.dumps(script), **(headers or {})}

    def count(self, question: str) -> int:
        return int(httpx.get(f"{self.base}/count", timeout=30).json().get(question, 0))

    def until_count(self, question: str, count: int) -> None:
        deadline = time.monotonic() + 10
        while self.count(question) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        assert self.count(question) == count


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow if name in IN_CI else ()) for name in SERVERS],
)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", *(part.replace("PORT", str(port)) for part in SERVERS[request.param])]
    log = tmp_path_factory.mktemp("log") / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=FOLDER, env={"PYTHONPATH": str(FOLDER)}, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            started = Server(request.param, f"http://127.0.0.1:{port}")
            wait_for(started, process, log)
            yield started
        finally:
            process.terminate()
            process.wait(20)


def wait_for(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"{server.base}/count", timeout=30)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"{server.name} did not start: {log.read_text()}")


@pytest.fixture
def several(server: Server) -> Server:
    if server.name in ONE_AT_A_TIME:
        pytest.skip("this server answers one request after the other")
    return server


def test_a_repeat_is_answered_from_the_cache(server: Server) -> None:
    first, again = server.ask("a repeat"), server.ask("a repeat")
    assert (first.headers["x-cache"], again.headers["x-cache"]) == ("MISS", "HIT")
    assert first.json() == again.json() == {"answer": "Paris"}
    assert "semcache; hit" in again.headers["cache-status"]
    assert {"age", "semcache-entry"} <= set(again.headers)
    assert server.count("a repeat") == 1


def test_another_caller_is_asked_for_anew(server: Server) -> None:
    assert server.ask("mine").headers["x-cache"] == "MISS"
    other = server.ask("mine", headers={"authorization": "Bearer bob"})
    assert other.headers["x-cache"] == "MISS"
    assert server.count("mine") == 2


def test_a_request_without_identity_passes_by_with_its_body(server: Server) -> None:
    body = json.dumps({"q": "nobody", "pad": "x" * 5000})
    for _ in range(2):
        answered = httpx.post(
            f"{server.base}/ask", content=body, headers={"x-count": "nobody", "content-type": "application/json"}
        )
        assert answered.headers["x-cache"] == "BYPASS"
        assert "no-identity" in answered.headers["cache-status"]
    assert server.count("nobody") == 2
    assert httpx.get(f"{server.base}/seen").json()["length"] == len(body)


def test_what_nobody_claims_is_untouched(server: Server) -> None:
    answered = server.ask("elsewhere", path="/elsewhere")
    assert answered.status_code == 200
    assert not {"x-cache", "cache-status"} & set(answered.headers)


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])
def test_a_body_too_large_for_the_cache_reaches_the_application_whole(server: Server, chunked: bool) -> None:
    body = b'{"q": "large", "pad": "' + b"x" * 300_000 + b'"}'
    pieces = (body[at : at + 65536] for at in range(0, len(body), 65536))
    answered = httpx.post(
        f"{server.base}/ask",
        content=pieces if chunked else body,
        headers={"authorization": "Bearer alice", "content-type": "application/json", "x-count": "large"},
        timeout=30,
    )
    assert answered.headers["x-cache"] == "BYPASS"
    assert httpx.get(f"{server.base}/seen").json()["length"] == len(body)


def test_directives_go_no_further_and_count(server: Server) -> None:
    control = {"semcache-control": "mode=off", "semcache-debug": "secret"}
    assert server.ask("directives", headers=control).headers["x-cache"] == "BYPASS"
    assert not {"semcache-control", "semcache-debug"} & set(httpx.get(f"{server.base}/seen").json()["headers"])
    assert server.ask("directives").headers["x-cache"] == "MISS"


def test_an_application_may_refuse_to_have_its_answer_stored(server: Server) -> None:
    for _ in range(2):
        answered = server.ask("unstored", says=[["semcache-control", "no-store"]])
        assert answered.headers["x-cache"] == "MISS"
        assert "semcache-control" not in answered.headers


def test_only_if_cached_is_answered_504_on_a_miss(server: Server) -> None:
    answered = server.ask("only cached", headers={"cache-control": "only-if-cached"})
    assert answered.status_code == 504
    assert server.count("only cached") == 0


def test_a_stream_goes_out_piece_by_piece_and_is_replayed(server: Server) -> None:
    events = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {"content": "Paris"}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": COMPLETION["usage"]},
    ]
    about = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "m"}
    pieces = [f"data: {json.dumps({**about, **event})}\n\n" for event in events] + ["data: [DONE]\n\n"]
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "a stream"}]}
    script = {"pieces": pieces, "gap": 0.3, "content_type": "text/event-stream"}
    began = time.monotonic()
    with server.stream(body, path=CHAT, **script) as answered:
        arrivals = [time.monotonic() - began for _ in answered.iter_raw()]
    assert answered.headers["x-cache"] == "MISS"
    assert arrivals[0] < 0.9 < arrivals[-1]
    whole = server.ask({**body, "stream": False}, path=CHAT)
    assert (whole.headers["x-cache"], whole.json()["choices"][0]["message"]["content"]) == ("HIT", "Paris")


def test_a_stream_is_replayed_as_a_stream(server: Server) -> None:
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "replayed"}]}
    about = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "m"}
    chunks = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Paris"}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    ]
    pieces = [f"data: {json.dumps({**about, **chunk})}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]
    asked = [
        server.ask(body, path=CHAT, headers={"x-count": "replayed"}, pieces=pieces, content_type="text/event-stream")
        for _ in range(2)
    ]
    assert [one.headers["x-cache"] for one in asked] == ["MISS", "HIT"]
    assert asked[1].headers["content-type"].startswith("text/event-stream")
    assert asked[1].text.endswith("data: [DONE]\n\n")
    assert "Paris" in asked[1].text
    assert server.count("replayed") == 1


def test_equal_requests_at_once_ask_the_application_once(server: Server) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: server.ask("at once", delay=0.4), range(6)))
    assert {answer.text for answer in answers} == {'{"answer": "Paris"}'}
    assert server.count("at once") == 1


def test_a_waiter_gets_a_stream_from_its_first_piece_while_it_comes(several: Server) -> None:
    server, pieces = several, ['{"answer": ', '"', "P", "a", "r", "i", "s", '"}']
    script = {"pieces": pieces, "gap": 0.4}
    leading = threading.Thread(target=lambda: server.ask("followed", **script))
    leading.start()
    server.until_count("followed", 1)
    began = time.monotonic()
    with server.stream("followed", **script) as answered:
        arrivals, body = [], b""
        for piece in answered.iter_raw():
            arrivals.append(time.monotonic() - began)
            body += piece
    leading.join()
    assert json.loads(body) == {"answer": "Paris"}
    assert "collapsed" in answered.headers["cache-status"]
    assert arrivals[-1] - arrivals[0] > 0.3
    assert server.count("followed") == 1


def test_a_leader_that_hangs_up_takes_nobody_down(several: Server) -> None:
    server, script = several, {"pieces": ['{"answer": ', '"', "Paris" * 300, '"}'], "gap": 0.5}

    def lead() -> None:
        with server.stream("hung up", **script) as answered:
            next(answered.iter_raw())

    leading = threading.Thread(target=lead)
    leading.start()
    server.until_count("hung up", 1)
    followed = server.ask("hung up", **script)
    leading.join()
    assert followed.json() == {"answer": "Paris" * 300}


def test_a_stale_answer_is_served_and_refreshed_behind_it(server: Server) -> None:
    assert server.ask("stale", path="/soon-stale").headers["x-cache"] == "MISS"
    time.sleep(1.2)
    stale = server.ask("stale", path="/soon-stale", pieces=['{"answer": "new"}'])
    assert stale.headers["x-cache"] == "STALE"
    assert stale.json() == {"answer": "Paris"}
    server.until_count("stale", 2)
    fresh = server.ask("stale", path="/soon-stale")
    assert fresh.json() == {"answer": "new"}


@pytest.mark.parametrize("failure", [{"status": 503}, {"fails_before": 0}], ids=["answers 503", "raises"])
def test_a_stale_answer_stands_in_for_a_failing_application(server: Server, failure: dict[str, int]) -> None:
    question = f"stands in {sorted(failure)}"
    assert server.ask(question, path="/stands-in").headers["x-cache"] == "MISS"
    time.sleep(1.2)
    instead = server.ask(question, path="/stands-in", **failure)
    assert (instead.status_code, instead.json()) == (200, {"answer": "Paris"})
    assert "stale-if-error" in instead.headers["cache-status"]


def test_a_stale_stream_stands_in_whole_for_an_application_that_raises(server: Server) -> None:
    path = "/stands-in/chat/completions"
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "a long stream"}]}
    about = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "m"}
    chunks = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Paris"}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    ]
    pieces = [f"data: {json.dumps({**about, **chunk})}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]
    first = server.ask(body, path=path, pieces=pieces, content_type="text/event-stream", times=9_000)
    assert first.headers["x-cache"] == "MISS"
    time.sleep(1.2)
    instead = server.ask(body, path=path, fails_before=0)
    assert instead.headers["x-cache"] == "STALE"
    assert instead.text.endswith("data: [DONE]\n\n")


def test_an_application_that_raises_is_the_servers_to_answer_and_nothing_is_stored(server: Server) -> None:
    assert server.ask("raises", fails_before=0).status_code == 500
    assert server.ask("raises").headers["x-cache"] == "MISS"


def test_an_answer_that_breaks_off_is_not_taken_for_whole(server: Server) -> None:
    with pytest.raises(httpx.TransportError):
        server.ask("breaks off", fails_before=2)
    again = server.ask("breaks off")
    assert (again.headers["x-cache"], again.json()) == ("MISS", {"answer": "Paris"})


def test_waiters_of_an_answer_that_breaks_off_are_not_told_it_is_whole(several: Server) -> None:
    server, script = several, {"pieces": ['{"answer": ', '"Paris"', "}"], "gap": 0.5, "fails_before": 2}
    with ThreadPoolExecutor(1) as pool:
        leading = pool.submit(lambda: server.ask("broken for all", **script))
        server.until_count("broken for all", 1)
        with pytest.raises(httpx.TransportError):
            server.ask("broken for all", **script)
        assert isinstance(leading.exception(), httpx.TransportError)


def test_a_refused_credential_gets_nothing_from_the_cache_any_more(server: Server) -> None:
    assert server.ask("withdrawn").headers["x-cache"] == "MISS"
    assert server.ask("withdrawn").headers["x-cache"] == "HIT"
    assert server.ask({"q": "another"}, headers={"x-count": "w"}, status=401).status_code == 401
    deadline = time.monotonic() + 5
    while (seen := server.ask("withdrawn").headers["x-cache"]) == "HIT" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert seen == "MISS"
