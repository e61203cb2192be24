"""Failures between the proxy and its upstream.

The forwarding app raises them, so that the cache around it sees a failure (nothing is stored, a stale answer may be
served); the proxy's outermost layer turns them into an HTTP error or a closed connection.
"""

from __future__ import annotations

import msgspec

from semcache_core.errors import SemcacheError
from semcache_core.types import Headers


class Unanswered(SemcacheError):
    """The proxy answers with an error of its own; nothing has been sent to the client yet."""

    kind = "upstream_error"
    headers: Headers = ()

    def __init__(self, message: str, *, status: int, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def body(self) -> bytes:
        """Return the error as JSON in the form that OpenAI's SDKs expect."""
        return error_body(str(self), kind=self.kind, code=self.code)


class UpstreamFailed(Unanswered):
    """The upstream gave no answer."""


class NotAdmitted(Unanswered):
    """The request is not forwarded, whatever the upstream is."""

    kind = "invalid_request_error"


class TokenWanted(NotAdmitted):
    """The caller showed no token of the proxy's own."""

    headers = ((b"www-authenticate", b'Bearer realm="semcache"'),)

    def __init__(self) -> None:
        message = "this proxy asks callers for a token of its own: send one in Semcache-Key, or as the API key"
        super().__init__(message, status=401, code="invalid_api_key")


class Unforwardable(UpstreamFailed):
    """The request cannot be forwarded: the client's fault, status 400."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=400, code="not_forwardable")


class UpstreamAborted(SemcacheError):
    """The upstream broke off in the middle of an answer; the client's connection must be closed too."""


def error_body(message: str, *, kind: str, code: str) -> bytes:
    """Return an error in OpenAI's form: ``{"error": {"message", "type", "param", "code"}}``."""
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": code}})
