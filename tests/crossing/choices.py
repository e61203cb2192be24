"""What a request and its answer may look like: the values in each dimension, the usual ones more than once."""

from __future__ import annotations

from typing import Any

import msgspec

WORDS = """
    invoice refund password delivery account parcel contract warranty coupon seat printer battery ticket rocket
    garden violin harbour lantern pepper saddle turbine walnut zebra compass
"""
FILLERS = ("please", "kindly", "the", "of")
HOSTS = ("localhost:8080", "a.example", "b.example", "127.0.0.1:1")
CHAT_PATHS = ("/v1/chat/completions", "/api/v1/chat/completions", "/openai/deployments/gpt/chat/completions")
API_PATHS = ("/ask", "/v2/ask", "/brief/ask")
METHODS = ("POST", "POST", "PUT", "GET")
"""Of the API; a chat request is a POST."""
DOUBTFUL_PATHS = ("/v1/../v1/chat/completions", "/v1//ask", "/v1%2fask")
QUERIES = ("", "", "", "?v=1", "?v=2")
MEMBERS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"temperature": 0},
    {"temperature": 0.0},
    {"temperature": True},
    {"temperature": 1.5},
    {"seed": 1},
    {"seed": 2},
    {"max_tokens": 5},
    {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"a": 1, "b": 2}}}]},
    {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"a": 1, "b": 3}}}]},
    {"n": 2},
    {"made_up": None},
    {"made_up": "1"},
    {"made_up": 1},
)
DELIVERY: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"stream": True},
    {"stream": True},
    {"stream": True, "stream_options": {"include_usage": True}},
    {"service_tier": "flex"},
)
END_USERS: tuple[dict[str, Any], ...] = ({}, {}, {}, {"user": "u1"}, {"user": "u2"}, {"metadata": {"u": "1"}})
SYSTEM = ("", "", "Be brief.", "Be brief!", "Answer for tenant 7.", "Answer for tenant 8.")
REFUSED: tuple[dict[str, Any], ...] = ({"store": True}, {"web_search_options": {}}, {"plugins": [{"id": "web"}]})
HEADERS: tuple[tuple[tuple[bytes, bytes], ...], ...] = (
    (),
    (),
    (),
    ((b"x-tenant", b"7"),),
    ((b"x-tenant", b"8"),),
    ((b"accept-language", b"de"),),
    ((b"accept-language", b"fr"),),
    ((b"user-agent", b"curl"),),
    ((b"x-request-id", b"r-%d"), (b"traceparent", b"t-%d")),
    ((b"x-forwarded-for", b"10.0.0.1"),),
    ((b"idempotency-key", b"i-1"),),
    ((b"range", b"bytes=0-1"),),
    ((b"origin", b"https://one.example"),),
    ((b"origin", b"https://two.example"),),
    ((b"x-forwarded-proto", b"https"),),
    ((b"x-forwarded-host", b"other.example"),),
)
UNFORWARDED = 12
"""So many of them hold nothing that counts in shared partitions only."""
DIRECTIVES: tuple[tuple[bytes, bytes] | None, ...] = (
    *(None,) * 12,
    (b"cache-control", b"no-cache"),
    (b"cache-control", b"no-store"),
    (b"cache-control", b"max-age=1"),
    (b"cache-control", b"max-stale=1000"),
    (b"cache-control", b"only-if-cached"),
    (b"pragma", b"no-cache"),
    (b"semcache-control", b"mode=off"),
    (b"semcache-control", b"mode=exact"),
    (b"semcache-control", b"ttl=1"),
    (b"semcache-control", b"threshold=0.99"),
    (b"semcache-control", b"nonsense"),
    (b"semcache-control", b"namespace=n1"),
    (b"semcache-control", b"namespace=n2"),
)
HAZARDS = {
    "zero width": "\u200b",
    "tag": "\U000e0041",
    "bidi": "\u202e",
    "soft hyphen": "\u00ad",
    "variation": "\ufe0f",
}
"""Characters that a tokenizer drops: two texts that differ in one of them differ."""
ACCENT = "\u0303"
"""Another one, that only a verifier can tell from none: people leave accents out."""

WORTH = {
    "caller": 4,
    "text": 4,
    "delivery": 3,
    "path": 2,
    "host": 2,
    "directive": 2,
    "headers": 2,
    "members": 2,
    "system": 1,
    "end_user": 1,
    "query": 1,
    "method": 1,
    "shape": 1,
    "form": 1,
}
ANSWER_HEADERS: tuple[tuple[tuple[bytes, bytes], ...], ...] = (
    ((b"set-cookie", b"session=secret"),),
    ((b"cache-control", b"private"),),
    ((b"cache-control", b"max-age=2"),),
    ((b"vary", b"user-agent, origin"),),
    ((b"vary", b"*"),),
    ((b"access-control-allow-origin", b"https://one.example"),),
    ((b"semcache-control", b"no-store"),),
    ((b"semcache-control", b"ttl=2"),),
    ((b"semcache-control", b"tags=t1"),),
    ((b"semcache-control", b"ttl=500, tags=t2"),),
)


class Script(msgspec.Struct, frozen=True):
    """How the upstream answers one request."""

    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = ()
    coding: str = ""
    fault: str = ""
    """length: cut by a token limit; event: an error at the end; cut: the connection breaks; unmarked: no end."""
    before: int = 0
    """Turns of the event loop before the head, and between two pieces."""
    between: int = 0
    pieces: int = 3
