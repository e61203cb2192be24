"""What an upstream that gives no answer has done, as one line that says what to do about it."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Iterator

import httpx

from .errors import Unanswered, Unforwardable, UpstreamFailed
from .upstream import ForwardOptions, Upstream

_EXPIRED, _NOT_YET = 10, 9  # X509_V_ERR_*, see openssl-verification-options(1)
_SELF_SIGNED = frozenset({18, 19})
_OTHER_HOST = frozenset({62, 64})
_CERTIFICATES = "the system's certificates count; for a private authority set SSL_CERT_FILE and add --trust-env"
_PLAIN = re.compile(r"WRONG_VERSION_NUMBER|HTTP_REQUEST|UNKNOWN_PROTOCOL|RECORD_LAYER_FAILURE|PACKET_LENGTH_TOO_LONG")
_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL})
_BINARY = "illegal request line"  # What h11 says of a first byte that no text begins with.


class Failures:
    """Names the failures of one upstream.

    ``through``: the proxy that leads to it, as ``host:port``. ``ignored``: the variable that names a proxy which is not
    used; in some networks nothing else leads out.
    """

    def __init__(
        self, upstream: Upstream, options: ForwardOptions, *, through: str | None = None, ignored: str | None = None
    ) -> None:
        self._hint = "" if ignored is None else f" ({ignored} is set and would count with --trust-env)"
        self._origin, self._scheme, self._options = upstream.origin, upstream.scheme, options
        self._peer = upstream.origin if through is None else f"the proxy {through} (from the environment, --trust-env)"

    def unanswered(self, error: httpx.TransportError) -> Unanswered:
        """Return the HTTP error for a missing answer. It names the upstream's address, never the request."""
        match error:
            case httpx.PoolTimeout():
                return UpstreamFailed(self._busy(), status=503, code="upstream_busy")
            case httpx.TimeoutException():
                return UpstreamFailed(self._too_slow(error), status=504, code="upstream_timeout")
            case httpx.LocalProtocolError():
                return Unforwardable("the request's header fields cannot be forwarded as HTTP/1.1")
            case _:
                return UpstreamFailed(self._unreachable(error), status=502, code="upstream_unreachable")

    def aborted(self, error: httpx.TransportError) -> str:
        """Return what has ended an answer in its middle."""
        if isinstance(error, httpx.TimeoutException):
            why = f"it sent nothing for {self._options.read_timeout:g} s (--read-timeout)"
        else:
            why = type(error).__name__
        return f"{self._origin} broke off its answer ({why})"

    def _busy(self) -> str:
        return (
            f"all {self._options.max_connections} connections to {self._origin} are busy: "
            "allow more with --max-connections, or send less at once"
        )

    def _too_slow(self, error: httpx.TimeoutException) -> str:
        options = self._options
        match error:
            case httpx.ConnectTimeout():
                return (
                    f"{self._peer} did not accept a connection within {options.connect_timeout:g} s "
                    "(--connect-timeout): is the address right, and does a firewall let it through?" + self._hint
                )
            case httpx.WriteTimeout():
                return f"{self._origin} did not read the request within {options.write_timeout:g} s"
            case _:
                return (
                    f"{self._origin} did not answer within {options.read_timeout:g} s: "
                    "raise --read-timeout if it needs longer"
                )

    def _unreachable(self, error: httpx.TransportError) -> str:
        if isinstance(error, httpx.ProxyError):
            # The proxy's own words are its status line; they hold nothing of the request.
            return f"{self._peer} refused to connect to {self._origin} ({str(error)[:100]}): is its password right?"
        causes = list(_causes(error))
        for cause in causes:
            message = self._of_cause(cause)
            if message is not None:
                return message
        return self._of_protocol(error)

    def _of_cause(self, cause: BaseException) -> str | None:
        peer = self._peer
        match cause:
            case ssl.SSLCertVerificationError():
                return self._certificate(cause)
            case ssl.SSLError():
                if _PLAIN.search(str(cause)):
                    return f"{self._origin} does not speak TLS: if it is a plain HTTP service, write http://"
                return (
                    f"no TLS connection to {self._origin} ({cause.reason or 'closed'}): does it speak TLS 1.2 or later?"
                )
            case socket.gaierror() if cause.errno == socket.EAI_AGAIN:
                return f"the name of {peer} could not be looked up: the DNS server does not answer{self._hint}"
            case socket.gaierror():
                unknown = f"the name of {peer} could not be looked up: is it spelt right, and does DNS know it here?"
                return unknown + self._hint
            case ConnectionRefusedError():
                return f"{peer} refused the connection: is it running, and is its port right?{self._hint}"
            case OSError() if cause.errno in _NO_ROUTE:
                return (
                    f"there is no route to {peer}: is this machine's network up, and is the address right?{self._hint}"
                )
        return None

    def _certificate(self, error: ssl.SSLCertVerificationError) -> str:
        code, begin = error.verify_code, f"the certificate of {self._origin}"
        if code == _EXPIRED:
            return f"{begin} has expired: it has to be renewed there (or this machine's clock is wrong)"
        if code == _NOT_YET:
            return f"{begin} is not valid yet: is this machine's clock right?"
        if code in _SELF_SIGNED:
            return f"{begin} is self-signed or from a private authority, so it is not trusted: {_CERTIFICATES}"
        if code in _OTHER_HOST:
            return f"{begin} is for another host: name the one that it is for in --upstream"
        return f"{begin} is not trusted ({error.verify_message}): {_CERTIFICATES}"

    def _of_protocol(self, error: httpx.TransportError) -> str:
        is_http = self._scheme == "http"
        if is_http and _BINARY in str(error):
            return f"{self._origin} answers in binary, as TLS does: write https://"
        if isinstance(error, httpx.RemoteProtocolError) and "without sending" not in str(error):
            return f"what answers at {self._origin} does not speak HTTP/1.1: is the port right?"
        hint = "; if it speaks TLS, write https://" if is_http else ""
        return f"{self._origin} closed the connection without an answer: its own log may say why{hint}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield what led to an exception, the nearest first; of several attempts at connecting, each."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
        waiting += [one.__cause__, one.__context__]
