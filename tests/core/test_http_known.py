"""What is remembered of requests: a repeat of the same bytes is known, and is read only if it goes upstream."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from semcache_core import SemanticCache
from semcache_core.http.exchange import Asking, Call, ask
from semcache_core.http.known import Aliases
from semcache_core.http.site import Desk, Place, Route
from semcache_core.types import Bypass, Key, Request

PATH = b"/v1/chat/completions"
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Where is my order?"}]}).encode()
HEADERS = ((b"host", b"api"), (b"authorization", b"Bearer sk-one"))
CONFIG: dict[str, Any] = {"semcache": {"match": "exact"}}


class Counting:
    """The extractor, counting what it reads."""

    def __init__(self, extractor: Any) -> None:
        self._extractor = extractor
        self.read = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._extractor, name)

    def extract(self, request: Request) -> Key | Bypass | None:
        self.read += 1
        read: Key | Bypass | None = self._extractor.extract(request)
        return read


def counted(desk: Desk) -> tuple[Route, Counting]:
    route = desk.resolve("POST", PATH)
    assert route is not None
    extractor = Counting(route.extractor)
    return msgspec.structs.replace(route, extractor=extractor), extractor


def asked(desk: Desk, route: Route, *headers: tuple[bytes, bytes], now: float = 0.0) -> Asking | Bypass | None:
    return ask(desk, route, Call("POST", "http", "", PATH, b"", (*HEADERS, *headers)), BODY, now=now)


def test_a_repeat_of_the_same_bytes_is_read_only_if_it_goes_upstream() -> None:
    async def main() -> None:
        async with SemanticCache.from_config(CONFIG) as cache:
            desk = cache.http.desk(Place())
            route, extractor = counted(desk)
            first, again = asked(desk, route), asked(desk, route)
            assert isinstance(first, Asking)
            assert isinstance(again, Asking)
            assert again.known is first.known
            assert extractor.read == 1
            query = again.query
            assert extractor.read == 2
            assert (query.entry_id, query.flight, query.text) == (
                first.query.entry_id,
                first.query.flight,
                first.query.text,
            )
            assert again.key == first.key
            assert extractor.read == 2

    asyncio.run(main())


def test_what_the_caller_says_to_the_cache_is_known_with_the_request() -> None:
    async def main() -> None:
        async with SemanticCache.from_config(CONFIG) as cache:
            desk = cache.http.desk(Place())
            route, extractor = counted(desk)
            plain = asked(desk, route)
            for _ in range(2):
                fresh = asked(desk, route, (b"cache-control", b"no-cache"))
                assert isinstance(plain, Asking)
                assert isinstance(fresh, Asking)
                assert plain.directives.lookup
                assert not fresh.directives.lookup
                assert fresh.known.entry_id == plain.known.entry_id
            assert extractor.read == 2

    asyncio.run(main())


def test_aliases_forget_the_oldest_first() -> None:
    aliases = Aliases(2)
    for name in (b"a", b"b", b"c"):
        aliases.put(name, Bypass(reason="x"))
    assert [aliases.get(name) is None for name in (b"a", b"b", b"c")] == [True, False, False]
    assert len(aliases) == 2


@pytest.mark.parametrize("capacity", [0, -1])
def test_no_capacity_remembers_nothing(capacity: int) -> None:
    aliases = Aliases(capacity)
    aliases.put(b"a", Bypass(reason="x"))
    assert aliases.get(b"a") is None
