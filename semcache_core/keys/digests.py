"""Digests: keyed BLAKE2b over MessagePack, where each field carries its length; one personalisation per purpose.

Sizes in bytes: 16 each for partition, entry id, exact, scope, flight, veto id, tag, alias, head and field; 32 for a
store's scope.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from semcache_core.types import Query

__all__ = [
    "SHORTEST_SECRET",
    "Digests",
    "members_of",
    "namespace_tag",
    "own_tags",
    "pack",
    "partition_tag",
    "store_scope",
    "tag_digest",
    "veto_id",
]

SHORTEST_SECRET = 16
"""Bytes of the shortest identity secret that is accepted."""

_MEMBERS = 64
_NAME = 64

pack: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
"""Encode fields so that no two different lists of fields give the same bytes: each carries its type and length."""
_unpack_members = msgspec.msgpack.Decoder(list[tuple[str, bytes]]).decode


def _base(key: bytes, purpose: bytes, size: int) -> Any:
    hasher = hashlib.blake2b(key=key, digest_size=size, person=purpose)
    # The key's block is compressed only when more data follows: one byte here, not again in every copy.
    hasher.update(b"\x00")
    return hasher


class Digests:
    """The keyed hashes of one identity secret.

    ``secret`` has at least ``SHORTEST_SECRET`` bytes; without it nobody can compute a partition from a credential or an
    entry id from a request.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < SHORTEST_SECRET:
            raise ValueError(f"the identity secret has {len(secret)} bytes; it takes {SHORTEST_SECRET} at least")
        key = hashlib.blake2b(secret, digest_size=32, person=b"semcache secret").digest()
        self._partition = _base(key, b"partition", 16)
        self._request = _base(key, b"request", 32)
        self._scope = _base(key, b"scope", 16)
        self._flight = _base(key, b"flight", 16)
        self._alias = _base(key, b"alias", 16)
        self._head = _base(key, b"head", 16)
        self._field = _base(key, b"field", 16)
        self._member = _base(key, b"member", 8)
        self._handle = _base(key, b"handle", 8)

    def partition(self, *fields: Any) -> bytes:
        """Return the digest of the caller and the place: 16 bytes over every field that distinguishes two of them."""
        return _digest(self._partition, fields)

    def requests(self, partition: bytes) -> Any:
        """Return a hasher for the requests of one partition: copy it, update it with packed fields, take 32 bytes.

        The first 16 are the entry id, the others the exact digest.
        """
        hasher = self._request.copy()
        hasher.update(pack(partition))
        return hasher

    def request(self, packed: bytes) -> bytes:
        """Return entry id and exact digest, concatenated: 32 bytes over a packed partition and packed fields."""
        hasher = self._request.copy()
        hasher.update(packed)
        digest: bytes = hasher.digest()
        return digest

    def scope(self, *fields: Any) -> bytes:
        """Return the digest within which texts may be compared: 16 bytes."""
        return _digest(self._scope, fields)

    def flight(self, *fields: Any) -> bytes:
        """Return the digest of a long single-flight key: 16 bytes."""
        return _digest(self._flight, fields)

    def alias(self, canonical_head: bytes, body: bytes) -> bytes:
        """Return the alias of a key, for raw bytes: 16 bytes. ``canonical_head`` is packed, so its end is known."""
        hasher = self._alias.copy()
        hasher.update(canonical_head + body)
        digest: bytes = hasher.digest()
        return digest

    def head(self, canonical_head: bytes) -> bytes:
        """Return the alias of a caller, for a raw head: 16 bytes."""
        hasher = self._head.copy()
        hasher.update(canonical_head)
        digest: bytes = hasher.digest()
        return digest

    def field(self, name: bytes, value: bytes) -> bytes:
        """Return the digest of a header's value, for what depends on it: 16 bytes."""
        return _digest(self._field, (name, value))

    def members(self, values: Sequence[tuple[str, bytes | msgspec.Raw]], *, after: bytes = b"") -> bytes:
        """Return each member's name and an 8-byte digest of its value, packed; ``after``: the result for others.

        Callers choose the names, and an entry stores them: only the first ones, and only their beginnings.
        """
        first = values[:_MEMBERS]
        made = [(name[:_NAME], _digest(self._member, (name, bytes(value)))) for name, value in first]
        return pack([*members_of(after), *made])

    def handle(self, partition: bytes, entry_id: bytes) -> str:
        """Return the text of ``Semcache-Entry``: it names the entry, for callers of ``partition`` only."""
        return urlsafe_b64encode(entry_id + _digest(self._handle, (partition, entry_id))).decode()

    def entry_of(self, handle: str, *, partition: bytes) -> bytes | None:
        """Return the entry id that a handle names in ``partition``; None for any other text or partition."""
        if not handle.isascii() or len(handle) != 32:
            return None
        try:
            raw = urlsafe_b64decode(handle)
        except ValueError:
            return None
        entry_id, proof = raw[:16], raw[16:]
        return entry_id if hmac.compare_digest(proof, _digest(self._handle, (partition, entry_id))) else None


def members_of(packed: bytes) -> list[tuple[str, bytes]]:
    """Return the names and digests that ``Digests.members`` packed; empty for anything else."""
    try:
        return _unpack_members(packed) if packed else []
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []


def _digest(base: Any, fields: tuple[Any, ...]) -> bytes:
    hasher = base.copy()
    hasher.update(pack(fields))
    digest: bytes = hasher.digest()
    return digest


def store_scope(partition: bytes, scope: bytes) -> bytes:
    """Return SHA-256(partition, scope): the only scope that stores ever see."""
    return hashlib.sha256(pack((partition, scope))).digest()


def veto_id(query: Query, entry_id: bytes) -> bytes:
    """Return the id of "this entry never answers this text again"; it depends on partition and scope."""
    return _plain(b"veto", (query.nearby.store_scope, query.nearby.text, entry_id))


def tag_digest(namespace: str, tag: str) -> bytes:
    """Return the id of an operator's tag, in its namespace."""
    return _plain(b"tag", (namespace, tag))


@lru_cache(maxsize=1024)
def own_tags(namespace: str, partition: bytes) -> tuple[bytes, bytes]:
    """Return the tags that every entry carries: those of its namespace and of its partition."""
    return namespace_tag(namespace), partition_tag(partition)


def namespace_tag(namespace: str) -> bytes:
    """Return the id of the tag that every entry of a namespace carries."""
    return _plain(b"namespace-tag", (namespace,))


def partition_tag(partition: bytes) -> bytes:
    """Return the id of the tag that every entry of a partition carries."""
    return _plain(b"partition-tag", (partition,))


def _plain(purpose: bytes, fields: tuple[Any, ...]) -> bytes:
    return hashlib.blake2b(pack(fields), digest_size=16, person=purpose).digest()
