"""The cache's own pages over ASGI."""

from __future__ import annotations

from semcache_core.http.asgi.messages import Scope, Send
from semcache_core.http.pages import Pages


class OwnPages:
    """Sends the own pages."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def claims(self, scope: Scope) -> bool:
        """Say whether a request is for one of them."""
        return _path(scope).startswith(self._pages.prefix)

    async def send(self, scope: Scope, send: Send) -> None:
        """Answer a request that is."""
        client = scope.get("client")
        page = await self._pages.answer(
            scope["method"],
            _path(scope),
            tuple(scope["headers"]),
            client=client[0] if client else None,
            http_version=scope.get("http_version", "1.1"),
        )
        await send({"type": "http.response.start", "status": page.status, "headers": list(page.headers)})
        body = b"" if scope["method"] == "HEAD" else page.body
        await send({"type": "http.response.body", "body": body, "more_body": False})


def _path(scope: Scope) -> str:
    # In a mounted application the path begins with the mount, or does not: servers and frameworks differ.
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
