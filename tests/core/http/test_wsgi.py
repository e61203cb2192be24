"""What only WSGI has: the ``write`` callable, ``close``, environs that no server should make."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from semcache_core import SemanticCache
from semcache_core.errors import AnswerAborted
from semcache_core.http.wsgi import SemanticCacheWSGI

from .driver_app import CONFIG

JSON = [("content-type", "application/json")]
BODY = b'{"q": "x"}'


class Sent:
    """What one request was answered with."""

    def __init__(self, app: Any, **environ: Any) -> None:
        self.fields: dict[str, str] = {}
        self.pieces = app(request(**environ), self._start)

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        self.fields = {name.lower(): value for name, value in headers}
        return pytest.fail

    def read(self) -> bytes:
        try:
            return b"".join(self.pieces)
        finally:
            self.close()

    def close(self) -> None:
        if hasattr(self.pieces, "close"):
            self.pieces.close()


def request(**changed: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/ask",
        "QUERY_STRING": "",
        "HTTP_HOST": "localhost",
        "HTTP_AUTHORIZATION": "Bearer alice",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(BODY)),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(BODY),
        **changed,
    }


@pytest.fixture
def cached() -> Iterator[Callable[[Any], SemanticCacheWSGI]]:
    caches: list[SemanticCache] = []

    def wrap(app: Any) -> SemanticCacheWSGI:
        caches.append(SemanticCache(CONFIG))
        return SemanticCacheWSGI(app, cache=caches[-1])

    yield wrap
    for cache in caches:
        cache.sync.close()


def returned(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", JSON)
    return [b'{"answer": "Paris"}']


def written_alone(environ: Any, start_response: Any) -> Any:
    write = start_response("200 OK", JSON)
    write(b'{"answer": ')
    write(b'"Paris"}')
    return []


def written_first(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", JSON)(b'{"answer": ')
    return [b'"Paris"}']


def written_last(environ: Any, start_response: Any) -> Any:
    write = start_response("200 OK", JSON)
    yield b'{"answer": '
    write(b'"Paris"}')


@pytest.mark.parametrize("app", [written_alone, written_first, written_last])
def test_what_an_application_writes_is_part_of_its_answer(cached: Any, app: Any) -> None:
    driver = cached(app)
    assert Sent(driver).read() == b'{"answer": "Paris"}'
    again = Sent(driver)
    assert again.read() == b'{"answer": "Paris"}'
    assert again.fields["x-cache"] == "HIT"


@pytest.mark.parametrize("name", ["REMOTE_USER", "SSL_CLIENT_CERT", "SSL_CLIENT_S_DN"])
def test_two_people_whom_the_server_tells_apart_never_share_an_answer(cached: Any, name: str) -> None:
    driver = cached(written_alone)
    for value in ("ann", "bob"):
        caches = []
        for _ in range(2):
            sent = Sent(driver, **{name: value})
            sent.read()
            caches.append(sent.fields["x-cache"])
        assert caches == ["MISS", "HIT"]


def test_a_header_never_passes_for_the_user_whom_the_server_names(cached: Any) -> None:
    driver = cached(returned)
    Sent(driver, REMOTE_USER="ann", HTTP_AUTHORIZATION="").read()
    for header in ("HTTP_REMOTE_USER", "HTTP_X_REMOTE_USER"):
        sent = Sent(driver, **{header: "ann", "HTTP_AUTHORIZATION": ""})
        sent.read()
        assert sent.fields["x-cache"] == "BYPASS"


@pytest.mark.parametrize("app", [written_alone, written_first, written_last])
def test_waiters_get_all_that_an_application_writes(cached: Any, app: Any) -> None:
    asked, joined = threading.Event(), threading.Event()

    def slow(environ: Any, start_response: Any) -> Any:
        asked.set()
        joined.wait(5)
        return app(environ, start_response)

    driver = cached(slow)
    answers: list[bytes] = []
    leading = threading.Thread(target=lambda: answers.append(Sent(driver).read()))
    leading.start()
    assert asked.wait(5)
    waiting = threading.Thread(target=lambda: answers.append(Sent(driver).read()))
    waiting.start()
    time.sleep(0.2)
    joined.set()
    leading.join(10)
    waiting.join(10)
    assert answers == [b'{"answer": "Paris"}'] * 2


def test_a_second_head_without_exc_info_is_an_error_as_it_is_without_the_cache(cached: Any) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", JSON)
        start_response("200 OK", JSON)
        return [b"{}"]

    with pytest.raises(AssertionError, match="start_response"):
        Sent(cached(app)).read()


def plain(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", JSON)
    return [b'{"got": "' + environ["wsgi.input"].read().hex().encode() + b'"}']


@pytest.mark.parametrize(
    "environ",
    [{"HTTP_X_NAME": "\u4e2d"}, {"RAW_URI": "http://[h/ask"}, {"RAW_URI": "/\u4e2d"}, {"QUERY_STRING": "\u4e2d"}],
    ids=["header", "target", "path", "query"],
)
def test_an_environ_that_no_request_can_have_made_passes_untouched(cached: Any, environ: dict[str, str]) -> None:
    driver = cached(plain)
    for _ in range(2):
        sent = Sent(driver, **environ)
        assert BODY.hex().encode() in sent.read()
        assert "x-cache" not in sent.fields


@pytest.mark.parametrize(
    "environ",
    [
        {"CONTENT_LENGTH": "\xb2"},
        {"CONTENT_LENGTH": "-5"},
        {"CONTENT_LENGTH": "9" * 30},
        {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"},
    ],
    ids=["superscript", "negative", "huge", "chunked, with no end that could be seen"],
)
def test_a_body_whose_length_cannot_be_known_bypasses_and_stays_unread(cached: Any, environ: dict[str, str]) -> None:
    sent = Sent(cached(plain), **environ)
    assert BODY.hex().encode() in sent.read()
    assert sent.fields["x-cache"] == "BYPASS"


def test_an_answer_that_is_closed_before_it_began_leaves_no_leader_behind(cached: Any) -> None:
    driver = cached(plain)
    Sent(driver).close()
    began = time.monotonic()
    assert Sent(driver).read()
    assert time.monotonic() - began < 5


def test_an_application_whose_close_raises_leaves_no_leader_behind(cached: Any) -> None:
    class Broken:
        def __iter__(self) -> Iterator[bytes]:
            yield b'{"answer": '
            yield b'"Paris"}'

        def close(self) -> None:
            raise OSError("scripted")

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", JSON)
        return Broken()

    driver = cached(app)
    first = Sent(driver)
    next(iter(first.pieces))
    with pytest.raises(OSError, match="scripted"):
        first.close()
    began = time.monotonic()
    second = Sent(driver)
    next(iter(second.pieces))
    assert time.monotonic() - began < 5
    with pytest.raises(OSError, match="scripted"):
        second.close()


def test_an_endless_answer_ends_with_the_last_of_those_who_wait_for_it(cached: Any) -> None:
    ended = threading.Event()

    def endless(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", JSON)
        try:
            while True:
                time.sleep(0.01)
                yield b" "
        finally:
            ended.set()

    driver = cached(endless)
    leader = Sent(driver)
    next(iter(leader.pieces))
    follower = Sent(driver)
    following = iter(follower.pieces)
    next(following)
    leader.close()
    leader.close()
    assert next(following) == b" "
    assert not ended.is_set()
    follower.close()
    assert ended.wait(5)


def test_a_cache_that_is_closed_while_a_request_is_on_its_way_to_it_fails_no_request() -> None:
    cache = SemanticCache(CONFIG)

    def identity(environ: Any) -> str:
        cache.sync.close()
        return "alice"

    driver = SemanticCacheWSGI(plain, cache=cache, identity=identity)
    for _ in range(2):
        sent = Sent(driver)
        assert BODY.hex().encode() in sent.read()
        assert "x-cache" not in sent.fields


def raises_midway(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", JSON)
    yield b'{"answer": '
    raise ConnectionResetError


def ends_early(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [*JSON, ("content-length", "99")])
    yield b'{"answer": "Paris"}'


def ends_inside(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", JSON)
    yield b'{"answer": "Pa'


HALVES = pytest.mark.parametrize("half", [raises_midway, ends_early, ends_inside])


@HALVES
def test_half_an_answer_is_not_stored(cached: Callable[[Any], SemanticCacheWSGI], half: Any) -> None:
    app = cached(half)
    for _ in range(2):
        sent = Sent(app)
        with suppress(ConnectionResetError):
            sent.read()
        assert sent.fields["x-cache"] == "MISS"


@HALVES
def test_nobody_who_waits_gets_half_an_answer_as_a_whole_one(
    cached: Callable[[Any], SemanticCacheWSGI], half: Any
) -> None:
    gate, calls, outcomes = threading.Event(), [], []

    def held(environ: Any, start_response: Any) -> Iterator[bytes]:
        calls.append(1)
        gate.wait(5)
        yield from half(environ, start_response)

    app = cached(held)

    def ask() -> None:
        try:
            Sent(app).read()
        except (ConnectionResetError, AnswerAborted) as error:
            outcomes.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    gate.set()
    for thread in threads:
        thread.join(5)
    assert any(isinstance(error, AnswerAborted) for error in outcomes) or len(calls) == 2


@pytest.mark.parametrize(("path", "offered"), [("/ask", "gzip"), ("/other", "gzip, dcb")])
def test_a_recorded_answer_is_asked_for_in_a_coding_that_can_be_decoded(
    cached: Callable[[Any], SemanticCacheWSGI], path: str, offered: str
) -> None:
    seen: list[str] = []

    def answer(environ: Any, start_response: Any) -> Any:
        seen.append(environ["HTTP_ACCEPT_ENCODING"])
        start_response("200 OK", JSON)
        return [b"{}"]

    Sent(cached(answer), PATH_INFO=path, HTTP_ACCEPT_ENCODING="gzip, dcb").read()
    assert seen == [offered]
