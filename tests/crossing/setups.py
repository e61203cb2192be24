"""The configurations that are run: how callers are told apart, what matches, which store, which driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from .callers import ISSUER_SECRET
from .view import SESSION_COOKIE, USER_HEADER, Identity, Terms

TTL, REVALIDATE, ON_ERROR = 60.0, 15.0, 400.0
BRIEF = 5.0
"""The ttl of paths that end in ``/brief/ask``."""

_HTTP: Mapping[Identity, Mapping[str, Any]] = {
    "default": {},
    "shared": {"identity": "shared"},
    "jwt": {"jwt": {"claims": ["sub"], "key": ISSUER_SECRET, "algorithms": ["HS256"]}},
    "named": {"identity": [USER_HEADER.decode()], "cookies": [SESSION_COOKIE.decode()]},
    "application": {},
}


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """One configuration and the driver it is run with."""

    name: str
    share: int
    """Its share of the requests, in percent."""
    driver: str = "asgi"
    terms: Terms = Terms()
    match: str = "semantic"
    verifiers: tuple[str, ...] = ()
    store: str = "memory"
    mode: str = "on"
    reads_numbers: bool = True
    """False: the embedder takes "item 1" and "item 2" for one text."""

    def config(self, folder: str) -> dict[str, Any]:
        """Return the configuration; ``folder`` is the world's own."""
        store = {"use": "memory"} if self.store == "memory" else {"use": "sqlite", "path": f"{folder}/cache.db"}
        return {
            "semcache": {
                "jitter": 0.0,
                "mode": self.mode,
                "match": self.match,
                "ttl": TTL,
                "stale_while_revalidate": REVALIDATE,
                "stale_if_error": ON_ERROR,
                "threshold": 0.95,
                "max_body": 200_000,
            },
            "vector_store": store,
            "response_store": store,
            "key_extractors": {"use": ["openai-chat", "json"]},
            "verifiers": {"use": list(self.verifiers)},
            "http": {
                "identity_secret": "0123456789abcdef0123456789abcdef",
                "ignore_headers": ["x-ask", "x-build"],
                "keep_headers": ["x-answer"],
                "allow_directives": ["namespace"] if self.terms.namespaces else [],
                **_HTTP[self.terms.identity],
            },
            "route": [
                {"path": "/ask", "json": {"methods": ["POST", "PUT", "GET"]}},
                {"path": "/brief/ask", "ttl": BRIEF, "json": {"methods": ["POST", "GET"]}},
            ],
        }

    @property
    def identify(self) -> Callable[[Any], str | None] | None:
        """What the application says about the caller, for the set-up where it does."""
        if self.terms.identity != "application":
            return None
        return _wsgi_user if self.driver == "wsgi" else _asgi_user


def _asgi_user(scope: Any) -> str | None:
    return next((value.decode() for name, value in scope["headers"] if name == b"x-logged-in"), None)


def _wsgi_user(environ: Mapping[str, str]) -> str | None:
    return environ.get("HTTP_X_LOGGED_IN")


SETUPS = (
    Setup(name="default", share=20),
    Setup(name="namespaces", share=3, terms=Terms(namespaces=True)),
    Setup(name="observing", share=1, mode="observe"),
    Setup(name="text guard", share=14, verifiers=("text-guard",), reads_numbers=False),
    Setup(name="shared", share=16, terms=Terms("shared")),
    Setup(name="jwt", share=8, terms=Terms("jwt")),
    Setup(name="named", share=8, terms=Terms("named")),
    Setup(name="application", share=6, terms=Terms("application")),
    Setup(name="exact, sqlite", share=5, match="exact", store="sqlite"),
    Setup(name="loopback", share=4, terms=Terms("default", anonymous=True)),
    Setup(name="wsgi", share=7, driver="wsgi"),
    Setup(name="wsgi, shared", share=3, driver="wsgi", terms=Terms("shared")),
    Setup(name="proxy", share=4, driver="proxy", terms=Terms("default", anonymous=True, proxied=True)),
    Setup(name="proxy, sqlite", share=1, driver="proxy", store="sqlite", terms=Terms("shared", proxied=True)),
)
