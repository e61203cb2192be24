"""Failures between the proxy and its upstream.

The forwarding app raises them, so that the cache around it sees a failure (nothing is stored, a stale answer may be
served); the proxy's outermost layer turns them into an HTTP error or a closed connection.
"""

from __future__ import annotations

import msgspec

from semcache_core.errors import SemcacheError


class UpstreamFailed(SemcacheError):
    """The upstream gave no answer; nothing has been sent to the client yet."""

    def __init__(self, message: str, *, status: int, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def body(self) -> bytes:
        """Return the error as JSON in the form that OpenAI's SDKs expect."""
        return error_body(str(self), kind="upstream_error", code=self.code)


class UpstreamAborted(SemcacheError):
    """The upstream broke off in the middle of an answer; the client's connection must be closed too."""


class Unforwardable(UpstreamFailed):
    """The request cannot be forwarded: the client's fault, status 400."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=400, code="not_forwardable")


def error_body(message: str, *, kind: str, code: str) -> bytes:
    """Return an error in OpenAI's form: ``{"error": {"message", "type", "param", "code"}}``."""
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": code}})
