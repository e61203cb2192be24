"""JSON Web Tokens of callers: when one expires, if it says so; and the caller it names, once it is verified.

By default a token is read, not verified: the upstream verifies it. If ``[http.jwt]`` makes claims the identity, a claim
counts only if the token verifies.
"""

from __future__ import annotations

import hashlib
import json
import math
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from typing import Any

import msgspec

from semcache_core.errors import ConfigError
from semcache_core.remedies import pip_install
from semcache_core.settings import JwtOptions
from semcache_core.types import Bypass, Quiet

__all__ = ["ADMITTED", "Expiries", "Tokens", "Verified"]

ADMITTED = float("-inf")
"""``now`` for a request that was just admitted: its credentials were valid then."""

_REMEMBERED = 1024
_NO_IDENTITY = Bypass(reason="no-identity")
_TWO_IDENTITIES = Bypass(reason="duplicate-identity")
_EXPIRED = Bypass(reason="expired-credential")
_INVALID = Bypass(reason="jwt-invalid")
_WITH_SCHEME = frozenset({b"authorization", b"proxy-authorization"})
_SHORTEST = {"HS256": 32, "HS384": 48, "HS512": 64}
"""Shortest secret in bytes (RFC 7518, 3.2): a shorter one can be guessed, and then any caller forged."""


class _Claims(Quiet, msgspec.Struct):
    exp: float | None = None


_claims = msgspec.json.Decoder(_Claims).decode


class Expiries:
    """Keeps when tokens expire, by their digest: no token is kept."""

    def __init__(self) -> None:
        self._ends: dict[bytes, float | None] = {}

    def of(self, value: bytes) -> float | None:
        """Return the ``exp`` of the JWT in a header value (seconds since the epoch); None: not a JWT, or no expiry."""
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


class Verified(Quiet, msgspec.Struct, frozen=True):
    """A verified token: its claims and their values as JSON, in the configured order, and when it expires."""

    claims: tuple[tuple[bytes, bytes], ...]
    ends: float | None


class Tokens:
    """Verifies tokens by ``[http.jwt]``. Raises ConfigError if PyJWT is missing or the key does not fit."""

    def __init__(self, options: JwtOptions) -> None:
        self._options = options
        self.header = options.header.strip().lower().encode()
        self._decode, self._key = _verifier(options)

    def of(self, values: Sequence[bytes], *, now: float) -> Verified | Bypass:
        """Return the token that verifies at ``now`` (seconds since the epoch), or why none of the values does."""
        if len(values) > 1:
            return _TWO_IDENTITIES
        token = _token(values[0], bare=self.header not in _WITH_SCHEME) if values else b""
        if not token:
            return _NO_IDENTITY
        try:
            return self._named(self._verified(token), now)
        except Exception:  # noqa: BLE001  whatever PyJWT raises, the token is not verified
            return _INVALID

    def _verified(self, token: bytes) -> dict[str, Any]:
        options = self._options
        # PyJWT would use its own clock: ``_named`` compares the times with ``now``.
        claims: dict[str, Any] = self._decode(
            token.decode("ascii"),
            self._key,
            algorithms=list(options.algorithms),
            audience=options.audience,
            issuer=options.issuer,
            options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
        return claims

    def _named(self, claims: dict[str, Any], now: float) -> Verified | Bypass:
        leeway = self._options.leeway
        ends, begins = _time(claims, "exp"), _time(claims, "nbf")
        if ends is not None and ends + leeway <= now:
            return _EXPIRED
        if begins is not None and begins - leeway > now != ADMITTED:
            return _INVALID
        if any(claims.get(name) in (None, "") for name in self._options.claims):
            return _INVALID
        named = tuple((f"claim {name}".encode(), _canonical(claims[name])) for name in self._options.claims)
        return Verified(named, None if ends is None else ends + leeway)


def _verifier(options: JwtOptions) -> tuple[Any, Any]:
    """Return PyJWT's ``decode`` and the key in the form it expects. Raises ConfigError."""
    try:
        # Imported here: it is an extra, and most configurations verify no token.
        import jwt
    except ImportError as error:
        raise ConfigError(f"http.jwt needs PyJWT: {pip_install('semcache-core[jwt]')}") from error
    key, kinds = options.key.reveal(), {name in _SHORTEST for name in options.algorithms}
    if len(kinds) > 1:
        # Otherwise a caller could sign a token with the public key as an HMAC secret.
        raise ConfigError("http.jwt.algorithms mixes HS* with signatures of a public key; name one kind")
    made = [_prepared(jwt, name, key) for name in options.algorithms]
    return jwt.decode, made[0]


def _prepared(jwt: Any, algorithm: str, key: str) -> Any:
    if len(key.encode()) < _SHORTEST.get(algorithm, 1):
        raise ConfigError(f"http.jwt.key is too short for {algorithm}: at least {_SHORTEST.get(algorithm, 1)} bytes")
    try:
        return jwt.get_algorithm_by_name(algorithm).prepare_key(key)
    except NotImplementedError as error:
        remedy = pip_install("semcache-core[jwt]")
        raise ConfigError(f"http.jwt: {algorithm} needs cryptography: {remedy}") from error
    except Exception:  # noqa: BLE001  PyJWT and cryptography raise many things for a wrong key
        # Without its cause, whose text may contain the key.
        wanted = "a secret that is no PEM key" if algorithm in _SHORTEST else "a PEM public key"
        raise ConfigError(f"http.jwt.key does not fit {algorithm}, which needs {wanted}") from None


def _token(value: bytes, *, bare: bool) -> bytes:
    """Return the token of a header value; empty if there is none: another scheme, or ``Bearer`` alone."""
    words = value.split()
    if words and words[0].lower() == b"bearer":
        return b" ".join(words[1:])
    return b" ".join(words) if bare else b""


def _time(claims: dict[str, Any], name: str) -> float | None:
    """Return a time claim in seconds since the epoch. Raises ValueError if it is not a time."""
    if name not in claims:
        return None
    value = claims[name]
    # NaN is neither before nor after any time: such a token would never expire.
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(name)
    return float(value)


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
