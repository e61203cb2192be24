"""When a bearer token that looks like a JWT ends. It is read, never verified: that is the upstream's business."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode

import msgspec

__all__ = ["Expiries"]

_REMEMBERED = 1024


class _Claims(msgspec.Struct):
    exp: float | None = None


_claims = msgspec.json.Decoder(_Claims).decode


class Expiries:
    """Remembers when tokens end, by their digest: no token is kept."""

    def __init__(self) -> None:
        self._ends: dict[bytes, float | None] = {}

    def of(self, value: bytes) -> float | None:
        """Return the ``exp`` of the JWT in a header value (seconds since the epoch); None: no JWT, or without end."""
        digest = hashlib.blake2b(value, digest_size=16).digest()
        if digest in self._ends:
            return self._ends[digest]
        if len(self._ends) >= _REMEMBERED:
            self._ends.clear()
        ends = self._ends[digest] = _exp(value)
        return ends


def _exp(value: bytes) -> float | None:
    parts = value.rpartition(b" ")[2].split(b".")
    if len(parts) != 3 or not parts[0].startswith(b"ey"):
        return None
    try:
        return _claims(urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4))).exp
    except (ValueError, RecursionError):
        return None  # An opaque token that happens to have two dots.
