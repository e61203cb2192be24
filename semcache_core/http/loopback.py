"""Whether a request began on this machine. Pure.

A caller without identity is taken for the machine's own user only then. The server's address does not say it: a reverse
proxy, a tunnel or a page in a browser reaches a loopback address as well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

# What reverse proxies, tunnels and CDNs add on the way. Tracing and request ids are not among them: SDKs send these.
_PASSED_ON = frozenset(
    b"""
    forwarded forwarded-for via x-real-ip x-client-ip x-client-port client-ip true-client-ip x-cluster-client-ip
    x-forwarded x-host x-scheme x-nginx-proxy x-proxyuser-ip x-request-start x-queue-start x-amz-cf-id rndr-id cdn-loop
    x-sendfile-type x-accel-mapping bypass-tunnel-reminder do-connecting-ip x-appengine-user-ip
    x-varnish surrogate-capability front-end-https x-url-scheme x-vcap-request-id
    """.split()
)
_PASSED_ON_PREFIXES = (
    b"x-forwarded-",
    b"x-original-",
    b"x-real-",
    b"x-envoy-",
    b"x-proxied-",
    b"cf-connecting-",
    b"cf-ip",
    b"cf-ray",
    b"cf-visitor",
    b"cf-access-",
    b"cloudfront-",
    b"tailscale-",
    b"ngrok-",
    b"fly-",
    b"x-railway-",
    b"x-arr-",
    b"x-azure-",
    b"x-appgw-",
    b"x-vercel-",
    b"x-kong-",
    b"x-nf-",
    b"fastly-",
    b"akamai-",
    b"x-akamai-",
    b"x-amzn-oidc-",
    b"x-auth-request-",
    b"x-ms-client-principal",
)
# An address of the client, whatever the product that tells it.
_PASSED_ON_ENDINGS = (
    b"-client-ip",
    b"-clientip",
    b"-remote-ip",
    b"-remote-addr",
    b"-originating-ip",
    b"-forwarded-for",
)
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s:\[\]@/]+))(?::\d{0,5})?", re.IGNORECASE)
_WEB_ORIGIN = re.compile(rb"https?://(.*)", re.IGNORECASE)
# An application's own page, like one of VS Code or Electron; web pages cannot have such an origin.
_OTHER_ORIGIN = re.compile(rb"(?!https?:)[a-z][a-z0-9+.-]*://.*", re.IGNORECASE)


def began_here(headers: Sequence[tuple[bytes, bytes]], *, http_version: str) -> bool:
    """Say whether a request says of itself that it began on this machine.

    Its one Host is a loopback address or ``localhost``, no proxy or tunnel added a field, and no page of another site
    sent it. The Host keeps a page away whose name was made to resolve to 127.0.0.1 (DNS rebinding). Nor is it HTTP/1.0:
    nginx, unless told otherwise, passes requests on in that version with the Host of its upstream and no such field.
    """
    host = None
    if http_version == "1.0":
        return False
    for name, value in headers:
        if _is_passed_on(name):
            return False
        if name == b"connection":
            # A field that Connection names may be gone already.
            if any(_is_passed_on(named.strip().lower()) for named in value.split(b",")):
                return False
        elif name == b"host":
            if host is not None:
                return False
            host = value
        elif name == b"origin":
            if not _is_own_origin(value):
                return False
        elif name == b"sec-fetch-site" and value.strip().lower() == b"cross-site":
            return False
    return host is not None and (_known_host if len(host) < _LONG else _is_own_host)(host)


def is_loopback(host: str | None) -> bool:
    """Say whether an address or a name is this machine's own."""
    if host is None:
        return False
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower().removesuffix(".") == "localhost"
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


def _is_passed_on(name: bytes) -> bool:
    return (_known_field if len(name) < _LONG else _is_field_of_proxy)(name)


def _is_field_of_proxy(name: bytes) -> bool:
    return name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES) or name.endswith(_PASSED_ON_ENDINGS)


def _is_own_host(host: bytes) -> bool:
    """Say whether a ``Host`` is loopback. Short forms (``127.1``), decimal ones and 0.0.0.0 are not."""
    found = _HOST.fullmatch(host.decode("latin-1").strip())
    return found is not None and is_loopback(found[1] or found[2])


def _is_own_origin(origin: bytes) -> bool:
    origin = origin.strip()
    web = _WEB_ORIGIN.fullmatch(origin)
    return _is_own_host(web[1]) if web is not None else _OTHER_ORIGIN.fullmatch(origin) is not None


_LONG = 64
# Asked for each field of each request; callers choose names, so long ones are not remembered.
_known_field = lru_cache(maxsize=1024)(_is_field_of_proxy)
_known_host = lru_cache(maxsize=64)(_is_own_host)
