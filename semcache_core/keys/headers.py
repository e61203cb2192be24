"""The role of each request header: it identifies the caller, is part of the request, bypasses the cache, or is ignored.

The defaults are safe: a name that is not listed is part of the key.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from enum import IntEnum
from typing import Literal

from semcache_core.errors import ConfigError
from semcache_core.keys.credentials import is_anybodys, is_credential_like, is_personal

__all__ = ["Role", "Roles"]


class Role(IntEnum):
    """The role of a header in a key."""

    IGNORED = 0
    KEYED = 1
    """Part of the request: equal values only."""
    IDENTITY = 2
    """Identifies the caller: part of the partition, and an identity by itself."""
    QUALIFIER = 3
    """Narrows the caller (organisation, project), or may be the same for different people (an application's token):
    part of the partition, but not an identity by itself.
    """
    CREDENTIAL = 4
    """``authorization``: an identity that no configuration ignores."""
    COOKIE = 5
    HOST = 6
    BYPASS = 7
    """A request with this header bypasses the cache."""
    MALFORMED = 8
    """Two servers may read the name as two different headers."""
    READ = 9
    """Controls the cache, or how to read the body: not part of the key."""


_BYPASS = frozenset({b"idempotency-key", b"x-http-method-override", b"range", b"upgrade"})
_CREDENTIALS = frozenset({b"authorization", b"proxy-authorization"})
_QUALIFIERS = frozenset(
    {
        b"openai-organization",
        b"openai-project",
        b"anthropic-workspace-id",
        b"anthropic-user-profile-id",
        b"x-goog-user-project",
    }
)
# docs/how-to/clients-and-platforms.md says which platform sends what, and how that was checked.
_IGNORED = frozenset(
    b"""
    connection keep-alive proxy-connection te trailer transfer-encoding
    content-length accept-encoding user-agent origin referer date expect via priority
    forwarded x-forwarded-for x-forwarded-proto x-forwarded-port x-forwarded-host x-forwarded-server
    x-original-forwarded-for x-real-ip client-ip x-client-ip x-client-port true-client-ip x-cluster-client-ip
    x-envoy-external-address cloudfront-viewer-address do-connecting-ip x-appengine-user-ip cdn-loop
    traceparent tracestate baggage correlation-context b3 sentry-trace x-amzn-trace-id x-cloud-trace-context
    uber-trace-id newrelic x-newrelic-id x-newrelic-transaction elastic-apm-traceparent x-dynatrace x-dtc
    singularityheader x-ot-span-context grpc-trace-bin sw8 ot-tracer-traceid ot-tracer-spanid ot-tracer-sampled
    x-request-id x-correlation-id x-client-request-id x-ms-client-request-id x-ms-return-client-request-id
    x-ms-correlation-request-id x-ms-useragent request-id request-context x-request-start x-queue-start connect-time
    total-route-time x-amz-cf-id x-appengine-request-log-id x-appengine-request-id-hash x-appengine-api-ticket
    x-appengine-timeout-ms x-sigsci-requestid x-nf-request-id x-nf-client-connection-ip rndr-id
    x-vcap-request-id x-unique-id x-kong-request-id x-akamai-request-id x-varnish x-timer request-start-time
    x-vercel-id x-vercel-forwarded-for x-vercel-proxied-for x-vercel-proxy-signature x-vercel-proxy-signature-ts
    x-vercel-sc-headers
    postman-token dnt http-referer x-title
    """.split()
)
_DIRECTING = frozenset({b"cache-control", b"pragma", b"semcache-control", b"semcache-debug"})
_SHARED_KEYED = frozenset(
    {b"origin", b"forwarded", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-port", b"x-forwarded-server"}
)
"""Ignored, except in shared partitions of generic APIs: an application builds links and redirects of them, and there
one caller would choose those of all.
"""
_IGNORED_PREFIXES = (
    b"cf-",
    b"x-b3-",
    b"x-datadog-",
    b"x-instana-",
    b"x-stainless-",
    b"sec-",
    b"fly-",
    b"fastly-",
    b"x-railway-",
    b"x-arr-",
    b"x-azure-",
    b"x-appgw-",
    b"x-envoy-",
    b"uberctx-",
    b"sw8-",
)
_NEGOTIATING = frozenset({b"accept-language", b"content-type"})
# The headers of SDKs, browsers and proxies: classified in advance, so that invented names cannot displace them.
_USUAL = b"""
    host authorization cookie accept accept-language content-type content-encoding
    api-key x-api-key openai-organization openai-project openai-beta
    cf-ray cf-connecting-ip cf-ipcountry cf-visitor x-b3-traceid x-b3-spanid x-b3-sampled x-datadog-trace-id
    x-datadog-parent-id x-datadog-sampling-priority sec-fetch-dest sec-fetch-mode sec-fetch-site sec-ch-ua
    sec-ch-ua-mobile sec-ch-ua-platform x-stainless-arch x-stainless-async x-stainless-helper-method x-stainless-lang
    x-stainless-os x-stainless-package-version x-stainless-raw-response x-stainless-read-timeout
    x-stainless-retry-count x-stainless-runtime x-stainless-runtime-version x-stainless-timeout
""".split()
# The characters of a name in RFC 9110, without "_"; empty for the prefix "*".
_TOKEN = re.compile(r"[!#$%&'*+.^`|~0-9a-z-]*")
_REMEMBERED = 1024  # Limit of names, and of the bytes of a name: callers choose names, so memory must be bounded.

Identity = Literal["default", "shared", "caller"] | tuple[str, ...]


class Roles:
    """The role of every header name under one configuration.

    ``identity``: ``default`` (every header that looks like a credential), ``shared`` (callers are not distinguished),
    ``caller`` (the application names the caller; no header does), or the names of the headers that replace the default.
    ``add`` names further ones. Other credentials are ignored: in the key they would still distinguish callers.
    ``cookies``: some cookies are identity, whatever ``identity`` is. Names in ``ignore`` may end in ``*`` for a prefix;
    only a whole name removes a header from the default identity, and nothing removes ``authorization``. Raises
    ConfigError for a name that no request may have.
    """

    def __init__(
        self,
        *,
        identity: Identity = "default",
        add: Collection[str] = (),
        cookies: bool = False,
        ignore: Collection[str] = (),
        negotiated: bool = False,
    ) -> None:
        self._default = identity == "default"
        self._unkeyed = _IGNORED - _SHARED_KEYED if identity == "shared" and negotiated else _IGNORED
        named = () if isinstance(identity, str) else identity
        self._named = frozenset(_names((*named, *add, *(("cookie",) if cookies else ()))))
        self._ignored = frozenset(_names(name for name in ignore if not name.endswith("*")))
        self._ignored_prefixes = tuple(_names(name[:-1] for name in ignore if name.endswith("*")))
        self._negotiated = negotiated
        if not _DIRECTING.isdisjoint(self._named):
            names = ", ".join(sorted(name.decode() for name in _DIRECTING & self._named))
            raise ConfigError(f"http: {names} says how to use the cache, not who asks; take it out of the identity")
        self.known: dict[bytes, Role] = {}
        """The roles of names seen so far. Look here first; ``of`` fills it."""
        self.ignored: set[bytes] = set()
        """The names in ``known`` that are ignored."""
        for name in (*_IGNORED, *_DIRECTING, *_USUAL, *self._named, *self._ignored):
            self.of(name)

    def of(self, name: bytes) -> Role:
        """Return the role of a lower-case header name."""
        role = self.known.get(name)
        if role is None:
            role = self._judge(name)
            if len(self.known) < _REMEMBERED and len(name) < 128:
                self.known[name] = role
                if role is Role.IGNORED:
                    self.ignored.add(name)
        return role

    def _judge(self, name: bytes) -> Role:
        if b"_" in name or name != name.lower():
            return Role.MALFORMED
        if name == b"host":
            return Role.HOST
        if name in _DIRECTING:
            return Role.READ
        if name in _BYPASS:
            return Role.BYPASS
        looks_like = _credential(name)
        if name in self._named:
            return looks_like if looks_like in (Role.CREDENTIAL, Role.COOKIE) else Role.IDENTITY
        if name == b"accept" and not self._negotiated:
            # Beside "Accept: text/event-stream" a no-cache may be a habit.
            return Role.READ
        if looks_like is Role.CREDENTIAL or (looks_like is not None and name not in self._ignored):
            return looks_like if self._default else Role.IGNORED
        if not self._is_ignored(name):
            return Role.KEYED
        return Role.READ if name == b"content-encoding" else Role.IGNORED

    def _is_ignored(self, name: bytes) -> bool:
        return (
            name in self._unkeyed
            or name in self._ignored
            or (name.startswith(_IGNORED_PREFIXES) and not is_personal(name))
            or (name.startswith(b"x-vercel-") and name.endswith(b"-trace"))
            or name.startswith(self._ignored_prefixes)
            or (name in _NEGOTIATING and not self._negotiated)
        )


def _credential(name: bytes) -> Role | None:
    if name in _CREDENTIALS:
        return Role.CREDENTIAL
    if name == b"cookie":
        return Role.COOKIE
    if name in _QUALIFIERS:
        return Role.QUALIFIER
    if not is_credential_like(name):
        return None
    return Role.QUALIFIER if is_anybodys(name) else Role.IDENTITY


def _names(names: Iterable[str]) -> list[bytes]:
    return [_name(name) for name in names]


def _name(name: str) -> bytes:
    name = name.strip().lower()
    if not _TOKEN.fullmatch(name):
        # A request with such a name is never looked up, so a rule about it would have no effect.
        raise ConfigError(
            f"http: {name!r} cannot be a header name here: ASCII without '_', spaces or colons; write '-' for '_'"
        )
    return name.encode()
