"""Who may pass: callers that show a token of the proxy's own, requests that began here, and no request twice."""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from semcache_core.errors import ConfigError
from semcache_core.http.loopback import began_here
from semcache_core.http.pages import PREFIX
from semcache_core.settings import HttpOptions
from semcache_core.types import Headers

from .errors import NotAdmitted, TokenWanted
from .headers import Via

_KEY = b"semcache-key"
_API_KEYS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"})
"""Where SDKs put the key that they are given."""
_CREDENTIAL = re.compile(rb"auth|cookie|key|token|secret|password|credential|session|signature")
_CREDENTIAL_VALUE = re.compile(rb"(?:bearer|basic|token|apikey)\s|sk-|eyJ", re.IGNORECASE)
_NOT_FORWARDED = frozenset({"CONNECT", "TRACE"})
"""A reverse proxy opens no tunnel. A service answers TRACE with the request itself, the proxy's credential included."""
_OWN_PAGES = frozenset(f"{PREFIX}{page}" for page in ("health", "ready", "stats"))


class Gate:
    """An ASGI app around the cache: refuses the requests that may not pass.

    ``injected`` are the fields that the proxy adds, ``loopback`` says whether only this machine can reach it.

    Raises ConfigError if the proxy would be an open relay: it would add a credential for whoever reaches it.
    """

    def __init__(self, app: ASGIApp, options: HttpOptions, *, injected: Headers, loopback: bool, via: Via) -> None:
        self._app = app
        self._tokens = CallerTokens(options.caller_tokens) if options.callers is not None else None
        self._via = via
        credential = next((name.decode() for name, value in injected if _is_credential(name, value)), None)
        is_relay = credential is not None and self._tokens is None and not options.open_relay
        if is_relay and not loopback:
            raise ConfigError(
                f"--set-header {credential!r}: whoever reaches this proxy would use your credential. Let callers show "
                'a token of its own: http.callers = { env = "SEMCACHE_CALLERS" }; listen on 127.0.0.1 only; or say '
                "http.open_relay = true"
            )
        self._for_this_machine_only = is_relay

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on. Raises NotAdmitted."""
        if scope["type"] == "http":
            if scope["method"] in _NOT_FORWARDED:
                raise NotAdmitted(f"{scope['method']} is not forwarded", status=405, code="method_not_allowed")
            scope = {**scope, "headers": self._admitted(scope)}
        await self._app(scope, receive, send)

    def _admitted(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """Return the fields that go on. The caller's token stands in ``semcache-key``, which is never forwarded.

        Raises NotAdmitted.
        """
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if self._via.is_in(headers):
            raise NotAdmitted(
                "this request has been through this proxy already (Via): its upstream leads back to it; point "
                "--upstream at the service itself",
                status=508,
                code="loop_detected",
            )
        if scope["path"] in _OWN_PAGES and scope["method"] in ("GET", "HEAD"):
            return headers
        if self._tokens is not None:
            return self._tokens.checked(headers)
        if self._for_this_machine_only and not began_here(headers, http_version=scope["http_version"]):
            raise NotAdmitted(
                "this proxy adds a credential (--set-header) for programs on its own machine only, and this request "
                "came from elsewhere; its operator can set http.callers, or http.open_relay = true",
                status=403,
                code="not_from_this_machine",
            )
        return headers


def _is_credential(name: bytes, value: bytes) -> bool:
    return _CREDENTIAL.search(name) is not None or _CREDENTIAL_VALUE.match(value) is not None


class CallerTokens:
    """The tokens of ``http.callers``: every caller shows one of them."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = [token.encode("ascii") for token in tokens]

    def checked(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return the fields with the caller's token in ``semcache-key`` alone. Raises NotAdmitted if it shows none.

        Without ``semcache-key``, the key that an SDK sends is the token, and is taken out. With it, that key is the
        upstream's.
        """
        names = {_KEY} if any(name == _KEY for name, _ in headers) else _API_KEYS
        shown = {value for name, field in headers if name in names and self._holds(value := _bare(field))}
        others = [field for field in headers if field[0] != _KEY and not self._holds(_bare(field[1]))]
        given_twice = sum(name == _KEY for name, _ in headers) > 1
        if len(shown) != 1 or given_twice:
            raise TokenWanted
        return [*others, (_KEY, shown.pop())]

    def _holds(self, value: bytes) -> bool:
        # Every token is compared, in constant time: how long it takes says nothing.
        return sum([hmac.compare_digest(value, token) for token in self._tokens]) > 0


def _bare(field: bytes) -> bytes:
    """Return a credential without its scheme."""
    scheme, _, rest = field.strip().partition(b" ")
    return rest.strip() if scheme.lower() == b"bearer" else field.strip()
