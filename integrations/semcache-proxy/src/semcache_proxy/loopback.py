"""Runs an ASGI app on a free port of this machine, in a thread, for the demo and the tests."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.types import ASGIApp

from semcache_core.errors import SemcacheError

from .listening import bound

AS_PROXY: dict[str, Any] = {"date_header": False, "server_header": False, "proxy_headers": False}
"""Uvicorn must not change the upstream's Date and Server, and must not trust X-Forwarded-For."""

_START_DEADLINE = 120.0
_STOP_DEADLINE = 15.0


class Served:
    """``with Served(app) as server:`` runs ``app`` under uvicorn until the block ends; ``server.url`` is its URL.

    ``options`` go to ``uvicorn.Config``. Raises SemcacheError if the app does not come up.
    """

    def __init__(self, app: ASGIApp, *, port: int = 0, **options: Any) -> None:
        (self._socket,) = bound("127.0.0.1", port)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        settings: dict[str, Any] = {"log_level": "critical", "timeout_graceful_shutdown": 5, **AS_PROXY, **options}
        self._server = uvicorn.Server(uvicorn.Config(app, **settings))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + _START_DEADLINE
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise SemcacheError(f"the server for {self.url} did not start")
            time.sleep(0.005)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(_STOP_DEADLINE)
        self._socket.close()
