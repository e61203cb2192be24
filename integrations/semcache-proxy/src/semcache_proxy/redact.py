"""Takes credentials out of query strings, for logs."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

_NAMES = re.compile(
    rb"key|token|secret|pass|pwd|sig|auth|code|cred|session|jwt|assertion|ticket|nonce|hmac|otp", re.IGNORECASE
)
_SHOWN = "-._~!$'()*+,:@/?%="
_HIDDEN = "***"


def redacted(query: bytes) -> bytes:
    """Return a query string for a log: without the values of fields that are named like a credential, in ASCII.

    A field without a name is all value, so it is hidden, too.
    """
    parts = re.split(rb"([&;])", query)
    return "".join(map(_field, parts)).encode("ascii")


def _field(part: bytes) -> str:
    if part in (b"", b"&", b";"):
        return part.decode("ascii")
    name, equals, value = part.partition(b"=")
    if not equals:
        return _HIDDEN
    # Decoded twice: a gateway may have encoded the name once more.
    decoded = unquote_to_bytes(unquote_to_bytes(name))
    shown = _HIDDEN if _NAMES.search(decoded) else quote(value, safe=_SHOWN)
    return f"{quote(name, safe=_SHOWN)}={shown}"
