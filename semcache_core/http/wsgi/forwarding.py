"""The application's answer on its way to the caller: each piece is recorded, then sent at once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

from semcache_core.engine.call_chain import leading
from semcache_core.errors import CacheUnavailable
from semcache_core.http.answer import Replace, UpstreamAnswer
from semcache_core.http.replay import Replay
from semcache_core.http.wsgi.environ import Environ
from semcache_core.runtime.home import Home

T = TypeVar("T")

Write = Callable[[bytes], object]

_log = logging.getLogger("semcache.http")


class StartResponse(Protocol):
    """PEP 3333's ``start_response``."""

    def __call__(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Write: ...


App = Callable[[Environ, StartResponse], Iterable[bytes]]


class Forwarding:
    """One call of the application: the iterable that the server sends.

    A client that leaves closes it; the application goes on in a thread of its own while others wait for its answer.
    """

    def __init__(
        self, app: App, environ: Environ, start_response: StartResponse, home: Home, answer: UpstreamAnswer
    ) -> None:
        self._app, self._environ, self._start_response = app, environ, start_response
        self._home, self._answer = home, answer
        self._pieces = self._run()
        self._is_over = self._is_draining = False

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        """End the request; the server calls it in any case, also where it never began to send. Harmless twice."""
        if self._is_over or self._is_draining:
            return
        # Asked and done in one step on the home loop: between two, a request could join an answer that then breaks off.
        if self._tell(self._answer.leave()) is False:
            self.drain(while_shared=True)
        else:
            self._end()

    def drain(self, *, while_shared: bool = False) -> None:
        """Let the application answer to its end, in a thread and without a client; ``while_shared``: only as long as
        others wait for its answer.
        """
        self._is_draining = True
        thread = threading.Thread(target=self._drained, args=(while_shared,), name="semcache-drain", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # The system has no thread to give.
            self._end()

    def _drained(self, while_shared: bool) -> None:
        try:
            for _ in self._pieces:
                if while_shared and not self._answer.is_shared:
                    break
            self._end()
        except BaseException:  # noqa: BLE001  the edge to the application: no server is left to take it
            _log.exception("the application failed after its client had left")

    def _end(self) -> None:
        try:
            self._pieces.close()
        finally:
            self._over()

    def _over(self) -> None:
        self._is_over = True
        self._home.call(self._answer.close)

    def _run(self) -> Generator[bytes, None, None]:
        head, answer, tell = _Head(), self._answer, self._tell
        pieces: Iterable[bytes] = ()
        try:
            with leading(answer.flight.link):
                pieces = self._app(self._environ, head)
            started = False
            for piece, more in self._led(head.in_order(pieces)):
                if not started:
                    started = True
                    replay = self._begin(head)
                    if replay is not None:
                        yield from replay.chunks
                        return
                tell(answer.feed(piece, more=more))
                yield piece
            if not started:
                replay = self._begin(head)
                if replay is not None:
                    yield from replay.chunks
                    return
            tell(answer.end())
        except Exception:
            # Without a stale answer nothing is sent: the server makes its own answer of the exception, as ever.
            replay = tell(answer.fail())
            if replay is not None:
                self._start_response(status_line(replay.status), encoded(_with_length(replay)))
                yield from replay.chunks
            raise
        finally:
            try:
                close = getattr(pieces, "close", None)
                if close is not None:
                    close()
            finally:
                self._over()

    def _led(self, pieces: Iterator[tuple[bytes, bool]]) -> Iterator[tuple[bytes, bool]]:
        """Yield each piece; the application may do its work for it only now."""
        while True:
            with leading(self._answer.flight.link):
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece

    def _tell(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Run ``work`` on the home loop; None if the cache was closed since: the answer goes on without it."""
        try:
            return self._home.run_blocking(work)
        except CacheUnavailable:
            return None

    def _begin(self, head: _Head) -> Replay | None:
        """Send the head; return the stale answer that is sent instead of a failing one, if there is one."""
        if head.status is None:
            raise RuntimeError("the application did not call start_response before its first piece (PEP 3333)")
        code = int(head.status.split(" ", 1)[0])
        fields = sent_fields(head.headers)
        sent = self._tell(self._answer.head(code, fields))
        if isinstance(sent, Replace):
            self._start_response(status_line(sent.replay.status), encoded(sent.replay.headers))
            return sent.replay
        self._start_response(head.status, encoded(fields if sent is None else sent))
        head.is_sent = True
        return None


class _Head:
    """The application's ``start_response``: its head waits for the first piece of the body."""

    def __init__(self) -> None:
        self.status: str | None = None
        self.headers: list[tuple[str, str]] = []
        self.is_sent = False
        self._written: list[bytes] = []

    def __call__(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Write:
        if exc_info is not None and self.is_sent:
            raise exc_info[1].with_traceback(exc_info[2])
        if exc_info is None and self.status is not None:
            # Servers raise, too: the application would take a second head for sent.
            raise AssertionError("start_response was called twice without exc_info (PEP 3333)")
        self.status, self.headers = status, list(headers)
        return self._written.append

    def in_order(self, pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
        """Yield each piece of the body, those that were written with the callable of old in their place, and whether
        others may follow.
        """
        for piece, more in _with_more(pieces):
            yield from self._taken()
            # A piece without content may come before the head (PEP 3333).
            if piece or self.status is not None:
                yield piece, more
        yield from self._taken()

    def _taken(self) -> list[tuple[bytes, bool]]:
        written, self._written[:] = [(piece, True) for piece in self._written], []
        return written


def _with_length(replay: Replay) -> list[tuple[bytes, bytes]]:
    """Return the replay's fields with its length: an exception follows, and the server would never end its chunks."""
    if len(replay.chunks) == 1:
        return replay.headers  # It is there already.
    return [*replay.headers, (b"content-length", b"%d" % sum(map(len, replay.chunks)))]


def _with_more(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield each piece, and whether others may follow: only a sequence says which one is its last."""
    last = len(pieces) - 1 if isinstance(pieces, Sequence) else None
    for at, piece in enumerate(pieces):
        yield piece, at != last


def sent_fields(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Return header fields as bytes: WSGI keeps them as Latin-1 text."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def encoded(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Return header fields as WSGI wants them."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


def status_line(code: int) -> str:
    """Return the status as WSGI wants it, for example ``200 OK``."""
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return f"{code} Unknown"
