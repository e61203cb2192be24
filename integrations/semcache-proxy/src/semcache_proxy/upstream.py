"""The upstream: one origin and a path prefix for every request."""

from __future__ import annotations

import re
from collections.abc import Mapping

import httpx
import msgspec

from semcache_core.errors import ConfigError
from semcache_core.types import Headers


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """One service, by its origin; ``prefix`` precedes each request's raw path (no slash at its end)."""

    scheme: str
    host: bytes
    """The Host header: with the port only if it is not the scheme's default."""
    origin: str
    prefix: bytes = b""

    @property
    def url(self) -> str:
        """Return the base URL, which is part of the partition: two upstreams never share an answer."""
        return self.origin + self.prefix.decode("ascii")

    @classmethod
    def parse(cls, text: str) -> Upstream:
        """Read a URL such as ``https://llm.example`` or ``http://10.0.0.7:8000/openai``. Raises ConfigError."""
        shown = repr(_without_secrets(text))
        try:
            url = httpx.URL(text)
        except httpx.InvalidURL:
            # Without the cause: it may quote a password in the place of the port.
            raise ConfigError(f"upstream {shown} is not a URL") from None
        if url.scheme not in ("http", "https") or not url.host:
            raise ConfigError(f"upstream {shown} must begin with http:// or https:// and name a host")
        if url.userinfo:
            raise ConfigError("the upstream URL must not hold a user or password: pass credentials with --set-header")
        if url.query or url.fragment:
            raise ConfigError(f"upstream {shown} must not have a query or a fragment: only a path may follow the host")
        origin = f"{url.scheme}://{url.netloc.decode('ascii')}"
        return cls(scheme=url.scheme, host=url.netloc, origin=origin, prefix=url.raw_path.rstrip(b"/"))


def _without_secrets(url: str) -> str:
    """Return an invalid URL for a message: without user, password and query."""
    return re.sub(r"[^/]*@", "", re.split(r"[?#]", url)[0])


class ForwardOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How requests are forwarded. Times are seconds; ``read_timeout`` is between two pieces of an answer."""

    connect_timeout: float = 10.0
    read_timeout: float = 600.0
    write_timeout: float = 60.0
    pool_timeout: float = 30.0
    """How long a request waits for one of ``max_connections``."""
    max_connections: int = 512
    keepalive_connections: int = 128
    keepalive_expiry: float = 30.0
    http2: bool = False
    """Use HTTP/2 if the upstream supports it; needs the extra ``http2``."""
    trust_env: bool = False
    """Whether HTTP_PROXY, NO_PROXY and SSL_CERT_FILE are used."""
    forwarded_headers: bool = True
    """Whether to send the client's address to the upstream, in X-Forwarded-For, -Proto and -Host."""
    injected: Headers = ()
    """Header fields that replace the client's, for example a credential. Never part of an identity."""


def inject_headers(fields: Mapping[str, str]) -> Headers:
    """Return ``fields`` as header pairs, names in lower case. Raises ConfigError, which never quotes a value."""
    pairs = []
    for name, value in fields.items():
        if not name or not name.replace("-", "").isalnum() or not name.isascii():
            raise ConfigError(f"{name!r} is not a header name")
        if not value.isprintable() or not value.isascii():
            raise ConfigError(f"the value for header {name!r} holds characters that a header cannot carry")
        pairs.append((name.lower().encode("ascii"), value.strip().encode("ascii")))
    return tuple(pairs)
