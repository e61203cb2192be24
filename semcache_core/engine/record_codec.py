"""The stored form of a record: a MessagePack array whose first element is the version.

An entry that does not decode is a miss and is deleted; one of a newer version is a miss and is kept, because another
process that shares the store may be able to read it.
"""

from __future__ import annotations

import msgspec

from semcache_core.types import RECORD_VERSION, Record

_encoder = msgspec.msgpack.Encoder()
_decode = msgspec.msgpack.Decoder(Record).decode
_decode_version = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


class Undecodable(Exception):
    """The bytes are not a record of this version or an earlier one."""


class NewerVersion(Exception):
    """The bytes were written by a newer semcache."""


def encode(record: Record) -> bytes:
    """Return the record as bytes."""
    return _encoder.encode(record)


def decode(data: bytes) -> Record:
    """Return the record that ``encode`` wrote. Raises Undecodable, NewerVersion."""
    try:
        return _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        version = _version(data)
        if version > RECORD_VERSION:
            raise NewerVersion(f"wire version {version}, this core reads {RECORD_VERSION}") from None
        raise Undecodable(type(error).__name__) from error


def _version(data: bytes) -> int:
    try:
        return msgspec.msgpack.decode(_decode_version(data)[0], type=int)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, IndexError):
        return 0
