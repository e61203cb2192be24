"""The upstream: one origin and a path prefix for every request; and how requests are forwarded to it."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping

import httpx
import msgspec

from semcache_core.errors import ConfigError
from semcache_core.http.headers import HOP_BY_HOP, is_for_cache
from semcache_core.types import Headers, Quiet

_FORM = re.compile(r"(?P<scheme>[^:/?#]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)", re.DOTALL)
_AUTHORITY = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[^:]*))?", re.DOTALL)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
# RFC 3986: what a path may hold. Anything else is percent-encoded.
_PATH = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*")
_LONGEST_NAME = 253

_LONGEST_WAIT = 7 * 24 * 3600.0
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_SET = {
    b"host": "it is always the upstream's: name another host with --upstream",
    b"content-length": "it is the length of the caller's own body",
    b"content-encoding": "it is the coding of the caller's own body",
    b"expect": "the server answers it itself",
    b"via": "the proxy adds its own entry",
}


class Upstream(Quiet, msgspec.Struct, frozen=True, kw_only=True):
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
        """Read a URL such as ``https://llm.example`` or ``http://10.0.0.7:8000/openai``.

        Raises ConfigError for a URL to which no request could be sent.
        """
        parts = _FORM.fullmatch(text)
        if parts is None or parts["scheme"].lower() not in ("http", "https"):
            raise _refused(text, "it must begin with http:// or https://")
        if "@" in parts["authority"]:
            raise ConfigError("--upstream must not hold a user or password: pass credentials with --set-header")
        if parts["rest"]:
            raise _refused(text, "only a path may follow the host, no query and no fragment: leave out '?' and '#'")
        scheme = parts["scheme"].lower()
        host, port = _host_and_port(text, parts["authority"], scheme=scheme)
        if _PATH.fullmatch(parts["path"]) is None:
            raise _refused(
                text, "its path holds a character that is not one of a URL: percent-encode it, a space as %20"
            )
        try:
            url = httpx.URL(f"{scheme}://{host}{port}{parts['path']}")
        except httpx.InvalidURL:
            # Without the cause: it quotes the URL.
            raise _refused(text, "its host is not a name that can be looked up") from None
        if not _is_host(url.raw_host.decode("ascii").strip("[]")):
            raise _refused(text, "its host is not a name that can be looked up")
        netloc = url.netloc
        return cls(
            scheme=scheme,
            host=netloc,
            origin=f"{scheme}://{netloc.decode('ascii')}",
            prefix=parts["path"].rstrip("/").encode("ascii"),
        )


def _host_and_port(text: str, authority: str, *, scheme: str) -> tuple[str, str]:
    """Return the host as a URL has it, and the port with its colon, or nothing. Raises ConfigError."""
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise _refused(text, "write an IPv6 address in brackets: http://[2001:db8::7]:8000")
    host, port = parts["host"], parts["port"]
    if not host:
        raise _refused(text, "it must name a host")
    if host.startswith("["):
        if not _is_address(host[1:-1], version=6):
            raise _refused(text, f"{host} is not an IPv6 address")
    elif scheme == "https" and host.endswith("."):
        raise _refused(text, "no certificate names a host with a dot at its end: leave the dot out")
    if port is None:
        return host, ""
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) <= 65535):
        raise _refused(text, "its port must be a number from 1 to 65535")
    return host, f":{port}"


def _is_host(host: str) -> bool:
    """Say whether a host can be looked up: an address, or a name of valid labels."""
    labels = host.removesuffix(".").split(".")
    if ":" in host or labels[-1].isdigit():
        return _is_address(host)
    return len(host) <= _LONGEST_NAME and all(_LABEL.fullmatch(label) for label in labels)


def _is_address(host: str, *, version: int | None = None) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # A zone ("%eth0") is not part of an address in a URL that HTTP clients agree on.
    return version in (None, address.version) and "%" not in host


def _refused(url: str, why: str) -> ConfigError:
    """Return the error for a wrong URL. It quotes neither user and password nor a query."""
    shown = re.sub(r"[^/]*@", "", re.split(r"[?#]", url)[0])
    return ConfigError(f"--upstream {shown!r}: {why}")


class ForwardOptions(Quiet, msgspec.Struct, frozen=True, kw_only=True):
    """How requests are forwarded. Times are seconds; ``read_timeout`` is between two pieces of an answer.

    Raises ConfigError for a value that cannot work.
    """

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

    # A credential may be among the injected fields.
    __repr__ = object.__repr__

    def __post_init__(self) -> None:
        """Refuse what would fail at the first request."""
        for name in ("connect_timeout", "read_timeout", "write_timeout", "pool_timeout", "keepalive_expiry"):
            seconds = getattr(self, name)
            if not (math.isfinite(seconds) and 0 < seconds <= _LONGEST_WAIT):
                raise ConfigError(f"{_option(name)}: expected seconds, more than 0 and at most {_LONGEST_WAIT:.0f}")
        for name, least in (("max_connections", 1), ("keepalive_connections", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{_option(name)}: expected a number of at least {least}")
        _check(self.injected)


def inject_headers(fields: Mapping[str, str]) -> Headers:
    """Return ``fields`` as header pairs, names in lower case. Raises ConfigError, which never quotes a value."""
    pairs = []
    for name, value in fields.items():
        if not value.isascii():
            raise ConfigError(f"--set-header {name!r}: its value holds a character that is not ASCII")
        pairs.append((name.lower().encode("utf-8"), value.strip(" \t").encode("ascii")))
    _check(pairs)
    return tuple(pairs)


def _check(pairs: Headers | list[tuple[bytes, bytes]]) -> None:
    """Refuse fields that the proxy could not send, or must not. Raises ConfigError, which never quotes a value."""
    seen = set()
    for name, value in pairs:
        shown = f"--set-header {name.decode('utf-8', 'replace')!r}"
        if _TOKEN.fullmatch(name.decode("latin-1")) is None or name != name.lower():
            raise ConfigError(f"{shown}: this is not the name of a header: letters, digits and '-'")
        refusal = _refusal(name.replace(b"_", b"-"))  # Some servers take both for one.
        if refusal is not None:
            raise ConfigError(f"{shown}: {refusal}; leave it out")
        if name in seen:
            raise ConfigError(f"{shown}: it is set twice; leave one out")
        seen.add(name)
        if not value:
            raise ConfigError(f"{shown}: it has no value; is the variable that it names empty?")
        if not value.isascii() or not value.decode("ascii").isprintable() or value != value.strip():
            raise ConfigError(f"{shown}: its value holds a line break or another character that no header can carry")


def _refusal(name: bytes) -> str | None:
    """Return why a field is not the operator's to set; None if it is."""
    if name in HOP_BY_HOP:
        return "it belongs to one connection, which the proxy manages itself"
    if is_for_cache(name):
        return "it is meant for the cache and never forwarded"
    return _NOT_SET.get(name)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')} ({name})"
