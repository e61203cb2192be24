"""One of several workers that share an SQLite file: the proxy, and the Python calls that have no HTTP form, as routes.

    python worker.py UPSTREAM FILE MAX_BYTES [exact]

Prints its address and serves until it is killed.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from semcache_core import SemanticCache
from semcache_proxy import create_app
from semcache_proxy.loopback import AS_PROXY


def routes(cache: SemanticCache) -> Router:
    """Return ``POST /lookup``, ``/store``, ``/reject`` and ``/invalidate``; their JSON bodies are the arguments."""
    router = Router()

    async def lookup(request: Request) -> JSONResponse:
        found = await cache.lookup(**await request.json())
        return JSONResponse({"value": found.value, "reason": found.reason, "source": found.source})

    async def store(request: Request) -> JSONResponse:
        return JSONResponse(await cache.store(**await request.json()))

    async def reject(request: Request) -> JSONResponse:
        await cache.reject(await cache.lookup(**await request.json()))
        return JSONResponse(None)

    async def invalidate(request: Request) -> JSONResponse:
        await cache.invalidate(**await request.json())
        return JSONResponse(None)

    for endpoint in (lookup, store, reject, invalidate):
        router.add_route(f"/admin/{endpoint.__name__}", endpoint, methods=["POST"])
    return router


def app_of(upstream: str, file: str, max_bytes: int, *, exact: bool) -> ASGIApp:
    """Return the worker's app."""
    store: dict[str, Any] = {"use": "sqlite", "path": file, "max_bytes": max_bytes}
    config = {
        "semcache": {"match": "exact" if exact else "semantic"},
        "embedder": {"use": "onnx"},
        "vector_store": store,
        "response_store": store,
    }
    cache = SemanticCache.from_config(config)
    proxy, admin = create_app(upstream, cache=cache, loopback=True), routes(cache)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] == "http" and scope["path"].startswith("/admin/")
        await (admin if ours else proxy)(scope, receive, send)

    return app


def main() -> None:
    """Serve on a free loopback port."""
    upstream, file, max_bytes, *exact = sys.argv[1:]
    app = app_of(upstream, file, int(max_bytes), exact=bool(exact))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="critical", **AS_PROXY)).run(sockets=[listener])


if __name__ == "__main__":
    main()
