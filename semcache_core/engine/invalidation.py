"""Stamps for response stores that keep none: each stamp becomes an entry of its own, read in a second trip."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Self

import msgspec

from semcache_core.errors import StoreUnavailable
from semcache_core.protocols import ResponseStore
from semcache_core.types import Stored

_STAMP = struct.Struct(">d")
_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.Decoder(tuple[list[bytes], bytes]).decode


class InvalidationByEntries:
    """Gives a plain response store the ``SupportsInvalidation`` power.

    The tags of an entry stand in front of its data; a stamp is an entry under the tag itself. An entry whose stamps
    cannot be read is not returned: unreadable stamps are a miss.
    """

    def __init__(self, store: ResponseStore) -> None:
        self._store = store

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Nothing to close: the store is closed by who opened it."""

    async def get(self, ids: Sequence[bytes], *, now: float) -> Sequence[Stored | None]:
        """Return what is stored under each id with its newest stamp. Raises StoreUnavailable."""
        found = [None if held is None else _open(held.data) for held in await self._store.get(ids, now=now)]
        tags = sorted({tag for held in found if held is not None for tag in held[0]})
        if not tags:
            return [None if held is None else Stored(data=held[1]) for held in found]
        stamps = dict(zip(tags, await self._store.get(tags, now=now), strict=True))
        newest = {tag: _STAMP.unpack(held.data)[0] for tag, held in stamps.items() if held is not None}
        return [
            None
            if held is None
            else Stored(data=held[1], invalidated_at=max((newest[t] for t in held[0] if t in newest), default=None))
            for held in found
        ]

    async def set(self, id: bytes, data: bytes, *, keep_until: float | None, tags: Sequence[bytes]) -> None:
        """Store the entry with its tags in front. Raises StoreUnavailable."""
        await self._store.set(id, _encode((list(tags), data)), keep_until=keep_until, tags=tags)

    async def delete(self, ids: Sequence[bytes]) -> None:
        """Forget the entries. Raises StoreUnavailable."""
        await self._store.delete(ids)

    async def invalidate(self, tags: Sequence[bytes], *, before: float) -> None:
        """Write the stamps, newer ones kept. Raises StoreUnavailable."""
        written = await self._store.get(tags, now=before)
        for tag, held in zip(tags, written, strict=True):
            newest = before if held is None else max(before, _STAMP.unpack(held.data)[0])
            await self._store.set(tag, _STAMP.pack(newest), keep_until=None, tags=())


def _open(data: bytes) -> tuple[list[bytes], bytes]:
    try:
        return _decode(data)
    except msgspec.MsgspecError as error:
        raise StoreUnavailable("an entry without its tags") from error
