"""How a record is written to a response store: one version byte, then MessagePack.

An entry that does not decode is a miss and is deleted; one of a newer version is a miss and stays, because another
process that can read it may share the store.
"""

from __future__ import annotations

import msgspec

from .types import Record

VERSION = 1
_HEAD = bytes([VERSION])
_encoder = msgspec.msgpack.Encoder()
_decode = msgspec.msgpack.Decoder(Record).decode


class Undecodable(Exception):
    """The bytes are no record of any version up to ours."""


class NewerVersion(Exception):
    """The bytes were written by a newer semcache."""


def encode(record: Record) -> bytes:
    """Return the record as bytes."""
    return _HEAD + _encoder.encode(record)


def decode(data: bytes) -> Record:
    """Return the record that ``encode`` wrote. Raises Undecodable, NewerVersion."""
    if data[:1] != _HEAD:
        if data and data[0] > VERSION:
            raise NewerVersion(f"wire version {data[0]}, this core reads {VERSION}")
        raise Undecodable("no known wire version")
    try:
        return _decode(memoryview(data)[1:])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Undecodable(type(error).__name__) from error
