"""Bodies of requests: reading one never fails, what two parsers may read differently is not for the cache, and two
bodies have the same exact digest only if they ask the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from semcache_core.builtin.json.extractor import JsonBody, JsonOptions
from semcache_core.keys.digests import Digests
from semcache_core.keys.http import HttpKeys, ResolvedCaller
from semcache_core.keys.identity import Target
from semcache_core.settings import HttpOptions, Policy
from semcache_core.types import API, LLM, Bypass, Key, Query, Request
from semcache_openai.chat import OpenAIChat

from ..reader import Reader

CHAT, API_PATH = b"/v1/chat/completions", b"/ask"
_POLICY = Policy(threshold=0.9)
_EXTRACTORS: dict[bytes, OpenAIChat | JsonBody] = {CHAT: OpenAIChat(), API_PATH: JsonBody(JsonOptions(paths=("/ask",)))}
_KEYS = HttpKeys(Digests(b"0123456789abcdef0123456789abcdef"), options=HttpOptions())
_IGNORED = {
    *("stream", "stream_options", "prompt_cache_key", "prompt_cache_retention", "service_tier"),
    *("user", "safety_identifier", "metadata"),
}
_SAMPLING = {
    *("temperature", "top_p", "top_k", "min_p", "top_a", "typical_p", "presence_penalty", "frequency_penalty"),
    *("repetition_penalty", "repeat_penalty"),
}
_DEEPEST = 128


def _caller(path: bytes) -> ResolvedCaller:
    traits = LLM if path == CHAT else API
    target = Target(namespace="n", protocol="p", method="POST", scheme="https", mount="", path=path, traits=traits)
    caller = _KEYS.admit(target, [(b"host", b"h"), (b"authorization", b"Bearer k")], now=0)
    assert isinstance(caller, ResolvedCaller)
    return caller


_CALLERS = {path: _caller(path) for path in _EXTRACTORS}


def check(data: bytes) -> None:
    """Read a body, and a copy of it with one span replaced."""
    reader = Reader(data)
    path = reader.pick((CHAT, API_PATH))
    at, size, put = reader.number(65535), reader.number(20), reader.take(reader.number(20))
    body = reader.rest()
    at = min(at, len(body))
    other = body[:at] + put + body[at + size :]
    one, two = _query(path, body), _query(path, other)
    if one is None or two is None:
        return
    for query in (one, two):
        # What an exact hit never computes.
        assert query.nearby.text == query.nearby.text.strip()
    equal = _meaning(path, body) == _meaning(path, other)
    if one.exact == two.exact:
        assert equal, f"one digest for {body!r} and {other!r}"
    spaced = _query(path, b" \n" + body + b"\t ")
    assert spaced is not None, f"white space changes what {body!r} is"
    assert spaced.exact == one.exact, f"white space around {body!r} changes its digest"


def _query(path: bytes, body: bytes) -> Query | None:
    key = _EXTRACTORS[path].extract(Request(method="POST", path=path, body=body))
    assert key is None or isinstance(key, Key | Bypass)
    if not isinstance(key, Key):
        return None
    assert not _is_ambiguous(body), f"a key for an ambiguous body: {body!r}"
    return _KEYS.query(key, _CALLERS[path], policy=_POLICY)


def _is_ambiguous(body: bytes) -> bool:
    """Say whether two parsers may read the body differently, by the parser of the standard library."""
    try:
        text = body.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return True
    return text.startswith("\ufeff") or _depth(value) > _DEEPEST or _is_lone(value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name that stands twice")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        inner: list[Any] = []
        for each in level:
            inner += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
        depth, level = depth + any(isinstance(each, dict | list) for each in level), inner
    return depth


def _is_lone(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _meaning(path: bytes, body: bytes) -> Any:
    """Return what a body asks: names in any order, numbers by their literals, what is ignored left out."""
    said = json.loads(body, parse_int=_literal, parse_float=_literal)
    if path != CHAT or not isinstance(said, dict):
        return said
    said = {name: value for name, value in said.items() if name not in _IGNORED}
    for name in _SAMPLING & said.keys():
        if isinstance(said[name], _Number):
            said[name] = ("number", float(said[name].literal))
    return said


class _Number:
    def __init__(self, literal: str) -> None:
        self.literal = literal

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Number) and self.literal == other.literal

    __hash__ = None  # type: ignore[assignment]


_literal: Callable[[str], Any] = _Number
