"""What only the wire shows: codings, cookies, directives and bodies that no SDK sends."""

from __future__ import annotations

import gzip
import hashlib
import json
from typing import Any

import httpx
import pytest
from openai import OpenAI

PATH = "/v1/chat/completions"
BODY = {"model": "small", "messages": [{"role": "user", "content": "How do I reset my password?"}]}


@pytest.fixture
def headers(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def raw(url: str, headers: dict[str, str]) -> tuple[httpx.Headers, bytes]:
    """Ask and return the answer's body as it came, not decoded."""
    with httpx.stream("POST", url + PATH, json=BODY, headers=headers) as answer:
        return answer.headers, b"".join(answer.iter_raw())


def test_a_compressed_answer_comes_as_it_is_and_is_replayed_plain(
    proxy_url: str, upstream: Any, headers: dict[str, str]
) -> None:
    upstream.compresses = True
    missed, packed = raw(proxy_url, headers | {"accept-encoding": "gzip"})
    hit, plain = raw(proxy_url, headers | {"accept-encoding": "gzip"})
    assert (missed["content-encoding"], int(missed["content-length"])) == ("gzip", len(packed))
    assert "content-encoding" not in hit
    assert hit["x-cache"] == "HIT"
    assert json.loads(plain) == json.loads(gzip.decompress(packed))


def test_a_caller_who_takes_no_coding_is_answered_from_a_compressed_entry(
    proxy_url: str, upstream: Any, headers: dict[str, str]
) -> None:
    upstream.compresses = True
    raw(proxy_url, headers | {"accept-encoding": "gzip"})
    hit, plain = raw(proxy_url, headers | {"accept-encoding": "identity"})
    assert hit["x-cache"] == "HIT"
    assert json.loads(plain)["choices"][0]["message"]["content"] == "answer 1 of this server"


def test_a_compressed_request_is_forwarded_as_it_came_and_read_for_its_key(
    proxy_url: str, upstream: Any, headers: dict[str, str]
) -> None:
    packed = gzip.compress(json.dumps(BODY).encode())
    sent = headers | {"content-encoding": "gzip", "content-type": "application/json"}
    missed = httpx.post(proxy_url + PATH, content=packed, headers=sent)
    assert missed.json()["choices"][0]["message"]["content"] == "answer 1 of this server"
    assert upstream.calls[0].headers["content-length"] == str(len(packed))
    # The same question, packed anew into other bytes.
    repacked = gzip.compress(json.dumps(BODY, indent=1).encode(), compresslevel=1)
    assert httpx.post(proxy_url + PATH, content=repacked, headers=sent).headers["x-cache"] == "HIT"


def test_a_providers_cookie_makes_no_answer_uncacheable_and_no_caller_new(client: OpenAI, upstream: Any) -> None:
    upstream.headers = {"set-cookie": "__cf_bm=infrastructure; Path=/; HttpOnly"}
    marks = []
    for _ in range(3):
        # The SDK keeps the cookie and sends it back from the second request on.
        raw_answer = client.chat.completions.with_raw_response.create(**BODY)  # type: ignore[call-overload]
        marks.append((raw_answer.headers["x-cache"], "set-cookie" in raw_answer.headers))
    assert marks == [("MISS", True), ("HIT", False), ("HIT", False)]
    assert len(upstream.calls) == 1


def test_no_cache_asks_again_and_replaces_the_answer(proxy_url: str, upstream: Any, headers: dict[str, str]) -> None:
    raw(proxy_url, headers)
    fresh, _ = raw(proxy_url, headers | {"cache-control": "no-cache"})
    hit, body = raw(proxy_url, headers)
    assert (fresh["x-cache"], hit["x-cache"]) == ("MISS", "HIT")
    assert b"answer 2" in body


def test_no_store_is_obeyed(proxy_url: str, upstream: Any, headers: dict[str, str]) -> None:
    raw(proxy_url, headers | {"cache-control": "no-store"})
    assert raw(proxy_url, headers)[0]["x-cache"] == "MISS"


def test_the_caches_own_directives_go_no_further(proxy_url: str, upstream: Any, headers: dict[str, str]) -> None:
    said, _ = raw(proxy_url, headers | {"semcache-control": "mode=off"})
    assert said["cache-status"] == "semcache; fwd=bypass; detail=off"
    assert "semcache-control" not in upstream.calls[0].headers


def test_a_large_upload_passes_whole_and_untouched(proxy_url: str, upstream: Any, headers: dict[str, str]) -> None:
    content = bytes(range(256)) * 65_536
    answer = httpx.post(proxy_url + "/v1/files", content=content, headers=headers, timeout=60)
    assert answer.json()["sha256"] == hashlib.sha256(content).hexdigest()
    assert "cache-status" not in answer.headers


def test_a_chat_body_over_the_limit_passes_whole(proxy_url: str, upstream: Any, headers: dict[str, str]) -> None:
    long = {"model": "small", "messages": [{"role": "user", "content": "x" * 5_000_000}]}
    answer = httpx.post(proxy_url + PATH, json=long, headers=headers, timeout=60)
    assert answer.headers["cache-status"] == "semcache; fwd=bypass; detail=body-too-large"
    assert upstream.calls[0].body == long
