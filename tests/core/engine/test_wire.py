"""What is written to a response store."""

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcache_core.engine import record_codec
from semcache_core.keys.digests import pack
from semcache_core.types import RECORD_VERSION, Record


def record(payload: bytes = b"x", text: str = "hello") -> Record:
    return Record(
        partition=b"p" * 16,
        scope=b"s" * 16,
        exact=b"e" * 16,
        text=text,
        kind="str",
        payload=payload,
        born_at=1.5,
        expires_at=None,
        fields=pack([("model", b"12345678")]),
    )


@given(st.binary(), st.text())
def test_a_record_comes_back_equal(payload: bytes, text: str) -> None:
    assert record_codec.decode(record_codec.encode(record(payload, text))) == record(payload, text)


@given(st.binary())
def test_any_bytes_decode_or_say_why_not(data: bytes) -> None:
    with contextlib.suppress(record_codec.Undecodable, record_codec.NewerVersion):
        assert isinstance(record_codec.decode(data), Record)


def test_a_truncated_record_is_undecodable() -> None:
    with pytest.raises(record_codec.Undecodable):
        record_codec.decode(record_codec.encode(record())[:-1])


def test_a_newer_version_is_told_from_rubbish() -> None:
    newer = [RECORD_VERSION + 1, "whatever", {"it": "holds"}]
    with pytest.raises(record_codec.NewerVersion):
        record_codec.decode(msgspec.msgpack.encode(newer))


def test_a_record_of_a_core_that_did_not_know_the_last_member_is_read() -> None:
    members = msgspec.msgpack.decode(record_codec.encode(record()))

    assert record_codec.decode(msgspec.msgpack.encode(members[:-1])) == record()
    assert record_codec.decode(msgspec.msgpack.encode([*members, "of a later one"])) == record()
