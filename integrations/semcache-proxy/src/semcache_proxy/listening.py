"""Where the proxy listens: sockets, opened before anything else so that a wrong address is an error at once."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import sys
from collections.abc import Iterator

import httpx

from semcache_core.errors import ConfigError, SemcacheError

from .occupant import occupant
from .upstream import Upstream

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MISSING = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


def bound(host: str, port: int) -> list[socket.socket]:
    """Return a bound socket for every address of ``host``, for the server to listen on; port 0 takes a free port.

    Raises ConfigError for an address that is not this machine's, SemcacheError for a port that is taken.
    """
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    for family, address in _addresses(host, port):
        # Of a free port, the same one on every address.
        chosen = sockets[0].getsockname()[1] if sockets and port == 0 else port
        try:
            sockets.append(_socket(family, (address[0], chosen, *address[2:])))
        except OSError as error:
            if error.errno not in _MISSING:
                for opened in sockets:
                    opened.close()
                raise refusal(error, host, port) from error
            missing = error  # ``localhost`` is two addresses, also on a machine without IPv6.
    if missing is not None and not sockets:
        raise refusal(missing, host, port) from missing
    return sockets


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[object, ...]]]:
    if not host:
        raise ConfigError("--host: expected an address, such as 127.0.0.1; every one is 0.0.0.0")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigError(
            f"--host {host}: this name cannot be looked up; write an address, such as 127.0.0.1"
        ) from error
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _socket(family: socket.AddressFamily, address: tuple[object, ...]) -> socket.socket:
    # The protocol is named because asyncio otherwise does not recognise TCP, and leaves Nagle's algorithm on.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # There, it would let two programs listen on one port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def refusal(error: OSError, host: str, port: int) -> SemcacheError:
    """Return why the proxy cannot listen there, with the remedy."""
    if error.errno == errno.EADDRINUSE:
        who = occupant(port) or "another program"
        return SemcacheError(
            f"port {port} on {host} is taken by {who} (address already in use): stop it, or choose another port with "
            "--port; 0 takes a free one"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return ConfigError(f"--port {port}: this user may not listen there; choose one from 1024 on")
    if error.errno in _MISSING:
        return ConfigError(f"--host {host}: this machine has no such address; every one is 0.0.0.0")
    return ConfigError(f"--host {host} --port {port}: cannot listen there: {error.strerror}")


def is_itself(upstream: Upstream, *, host: str, port: int) -> bool:
    """Say whether the proxy would forward to itself: llama.cpp's default port is also 8080.

    Names are looked up, but only where the ports are equal.
    """
    url = httpx.URL(upstream.origin)
    if port != (url.port or _DEFAULT_PORTS[url.scheme]):
        return False
    there, here = set(_reached(url.host)), set(_reached(host))
    if _is_unspecified(host):
        return any(_is_own(address) for address in there)
    return not there.isdisjoint(here)


def _reached(host: str) -> Iterator[Address]:
    """Yield the addresses that a connection to ``host`` reaches. "Any address" reaches this machine."""
    with contextlib.suppress(OSError, UnicodeError):
        for found in socket.getaddrinfo(host.removesuffix("."), None, type=socket.SOCK_STREAM):
            address = ipaddress.ip_address(str(found[4][0]).partition("%")[0])
            if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
                address = address.ipv4_mapped
            if address.is_unspecified:
                yield ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
            else:
                yield address


def _is_unspecified(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _is_own(address: Address) -> bool:
    """Say whether an address is this machine's: only such a one can be bound."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return address.is_loopback
    return True
