"""Compressed answers: stored and answered from the cache with what the proxy installs, and asked for accordingly."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from importlib.metadata import requires

import brotli
import httpx
import pytest
import zstandard
from starlette.types import ASGIApp

from semcache_core.http import decoders
from semcache_proxy import create_app

from .raw_http import Listening, fields, recording
from .test_app import ALICE, BODY, EXACT, PATH
from .test_gate import ANSWER

Serving = Callable[[ASGIApp], str]

PACKED = {
    "gzip": gzip.compress(ANSWER),
    "br": brotli.compress(ANSWER),
    "zstd": zstandard.ZstdCompressor().compress(ANSWER),
}


def coded(coding: str) -> bytes:
    head = f"content-type: application/json\r\ncontent-encoding: {coding}\r\ncontent-length: {len(PACKED[coding])}"
    return f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + PACKED[coding]


def offered(head: bytes) -> bytes:
    return dict(fields(head))[b"accept-encoding"]


@pytest.mark.parametrize("coding", PACKED)
def test_a_compressed_answer_passes_as_it_is_and_its_repeat_is_a_hit(
    raw_upstream: Listening, served: Serving, coding: str
) -> None:
    seen: list[bytes] = []
    proxy = served(create_app(raw_upstream(recording(seen, coded(coding))), config=EXACT))
    accepts = ALICE | {"accept-encoding": "gzip, deflate, br, zstd"}
    with httpx.stream("POST", proxy + PATH, json=BODY, headers=accepts) as first:
        assert b"".join(first.iter_raw()) == PACKED[coding]
    again = httpx.post(proxy + PATH, json=BODY, headers=accepts)
    assert (again.headers["x-cache"], again.content) == ("HIT", ANSWER)
    assert [offered(head) for head in seen] == [b"gzip, deflate, br, zstd"]


def test_the_upstream_is_offered_only_what_can_be_decoded_where_the_answer_is_to_be_stored(
    raw_upstream: Listening, served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(decoders._DECODERS, b"br")
    seen: list[bytes] = []
    proxy = served(create_app(raw_upstream(recording(seen, coded("gzip"))), config=EXACT))
    accepts = {"accept-encoding": "gzip, br, dcb"}
    httpx.post(proxy + PATH, json=BODY, headers=ALICE | accepts)
    httpx.post(proxy + "/v1/embeddings", json=BODY, headers=ALICE | accepts)
    httpx.post(proxy + PATH, json=BODY, headers=accepts)
    assert [offered(head) for head in seen] == [b"gzip", b"gzip, br, dcb", b"gzip, br, dcb"]


def test_the_proxy_brings_the_decoders() -> None:
    needed = {
        requirement.split(">")[0] for requirement in requires("semcache-proxy") or () if "extra" not in requirement
    }
    assert {"brotli", "zstandard"} <= needed
