"""What is remembered of requests: a repeat of the same bytes is known, and is read only if it goes upstream."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Any, Self

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcache_core import SemanticCache
from semcache_core.builtin.memory.responses import MemoryResponseOptions, MemoryResponseStore
from semcache_core.builtin.memory.vectors import MemoryVectorStore
from semcache_core.http.context import DriverContext
from semcache_core.http.request import CacheableRequest, RequestHead, identify
from semcache_core.http.route import Deployment, Route
from semcache_core.keys.fifo import FifoCache
from semcache_core.types import Bypass, Key, Request, Stored
from semcache_openai.chat import OpenAIChat

from .asgi_client import serving

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


def counted(context: DriverContext) -> tuple[Route, Counting]:
    route = context.resolve("POST", PATH)
    assert route is not None
    extractor = Counting(route.extractor)
    return msgspec.structs.replace(route, extractor=extractor), extractor


def asked(
    context: DriverContext, route: Route, *headers: tuple[bytes, bytes], now: float = 0.0
) -> CacheableRequest | Bypass | None:
    return identify(context, route, RequestHead("POST", "http", "", PATH, b"", (*HEADERS, *headers)), BODY, now=now)


def test_a_repeat_of_the_same_bytes_is_read_only_if_it_goes_upstream() -> None:
    async def main() -> None:
        async with SemanticCache.from_config(CONFIG) as cache:
            context = DriverContext(cache.lifecycle.here(), Deployment())
            route, extractor = counted(context)
            first, again = asked(context, route), asked(context, route)
            assert isinstance(first, CacheableRequest)
            assert isinstance(again, CacheableRequest)
            assert first.query is not None
            assert again.known is first.known
            assert extractor.read == 1
            query = again.read()
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
            context = DriverContext(cache.lifecycle.here(), Deployment())
            route, extractor = counted(context)
            plain = asked(context, route)
            for _ in range(2):
                fresh = asked(context, route, (b"cache-control", b"no-cache"))
                assert isinstance(plain, CacheableRequest)
                assert isinstance(fresh, CacheableRequest)
                assert plain.profile.directives.lookup
                assert not fresh.profile.directives.lookup
                assert fresh.known.address.entry_id == plain.known.address.entry_id
            assert extractor.read == 2

    asyncio.run(main())


def jwt(ends: int) -> bytes:
    claims = urlsafe_b64encode(json.dumps({"exp": ends}).encode()).rstrip(b"=")
    return b"Bearer eyJhbGciOiJub25lIn0." + claims + b".x"


HEADS = st.lists(
    st.sampled_from(
        [
            (b"host", b"other"),
            (b"authorization", b"Bearer sk-two"),
            (b"authorization", b"Bearer"),
            (b"authorization", jwt(50)),
            (b"x-api-key", b"k"),
            (b"cookie", b"a=1"),
            (b"cookie", b"t=" + jwt(50)),
            (b"openai-project", b"p"),
            (b"openai-beta", b"x"),
            (b"x-mood", b"calm"),
            (b"x-mood", b"wild"),
            (b"x_mood", b"wild"),
            (b"user-agent", b"one"),
            (b"x-request-id", b"1"),
            (b"cache-control", b"no-store"),
            (b"cache-control", b"max-age=5"),
            (b"pragma", b"no-cache"),
            (b"semcache-control", b"ttl=5, tags=a"),
            (b"semcache-control", b"namespace=m"),
            (b"semcache-control", b"mode=semantic"),
            (b"semcache-control", b"nonsense"),
            (b"semcache-debug", b"token"),
            (b"idempotency-key", b"1"),
            (b"content-encoding", b"gzip"),
        ]
    ),
    max_size=4,
)
OPEN = {"allow_directives": ["ttl", "tags", "mode", "namespace"], "debug_token": "token"}
BODIES = st.sampled_from([BODY, BODY.replace(b"order", b"parcel"), b"[]"])


def told(said: CacheableRequest | Bypass | None) -> object:
    """What ``identify`` said, as values that can be compared."""
    if not isinstance(said, CacheableRequest):
        return said
    known, profile = said.known, said.profile
    return (
        known.address,
        known.mode,
        (profile.caller, profile.directives, profile.disclosure, profile.route.policy),
        (said.query or said.read()).nearby,
    )


def test_what_is_remembered_changes_nothing_that_is_said() -> None:
    async def main() -> None:
        async with SemanticCache.from_config({**CONFIG, "http": OPEN}) as cache:
            forgetful = DriverContext(cache.lifecycle.here(), Deployment())
            forgetful.aliases, forgetful.profiles = FifoCache(0), FifoCache(0)
            fresh = forgetful.resolve("POST", PATH)
            assert fresh is not None

            @given(st.lists(st.tuples(HEADS, BODIES, st.sampled_from([0.0, 49.0, 50.0])), min_size=1, max_size=8))
            @settings(max_examples=200, deadline=None)
            def alike(requests: list[tuple[Any, bytes, float]]) -> None:
                context = DriverContext(cache.lifecycle.here(), Deployment())
                route = context.resolve("POST", PATH)
                assert route is not None
                for headers, body, now in (*requests, *requests):
                    call = RequestHead("POST", "http", "", PATH, b"", (*HEADERS[len(headers) % 3 :], *headers))
                    one, other = (
                        identify(context, route, call, body, now=now),
                        identify(forgetful, fresh, call, body, now=now),
                    )
                    assert told(one) == told(other)

            alike()

    asyncio.run(main())


def test_heads_are_remembered_up_to_a_bound() -> None:
    async def main() -> None:
        async with SemanticCache.from_config(CONFIG) as cache:
            context = DriverContext(cache.lifecycle.here(), Deployment())
            route, _ = counted(context)
            for number in range(1100):
                assert isinstance(asked(context, route, (b"x-mood", b"%d" % number)), CacheableRequest)
            assert len(context.profiles) == 1024

    asyncio.run(main())


def test_a_head_of_many_small_fields_is_not_remembered() -> None:
    async def main() -> None:
        async with SemanticCache.from_config(CONFIG) as cache:
            context = DriverContext(cache.lifecycle.here(), Deployment())
            route, _ = counted(context)
            assert isinstance(
                asked(context, route, *[(b"x-%d" % number, b"") for number in range(64)]), CacheableRequest
            )
            assert (len(context.profiles), len(context.aliases)) == (0, 0)

    asyncio.run(main())


ELSEWHERE = {
    "method": "PUT", "scheme": "https", "mount": "/m", "path": b"/other" + PATH, "query": b"v=2", "who": "bob",
}  # fmt: skip


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_head_that_is_remembered_answers_for_its_own_place_and_caller_only(name: str) -> None:
    async def main() -> None:
        async with SemanticCache.from_config(CONFIG) as cache:
            context = DriverContext(cache.lifecycle.here(), Deployment(by_application=True))
            route, _ = counted(context)
            here = RequestHead("POST", "http", "", PATH, b"", HEADERS, "ann")
            there = msgspec.structs.replace(here, **{name: ELSEWHERE[name]})
            said = [identify(context, route, call, BODY, now=0.0) for call in (here, there, here, there)]
            partitions = [one.known.address.partition for one in said if isinstance(one, CacheableRequest)]
            assert len(context.profiles) == len(set(partitions)) == 2
            assert partitions[:2] == partitions[2:]

    asyncio.run(main())


def test_what_is_known_of_a_request_shows_no_header_of_it() -> None:
    async def main() -> None:
        async with SemanticCache.from_config(CONFIG) as cache:
            context = DriverContext(cache.lifecycle.here(), Deployment())
            route, _ = counted(context)
            asking = asked(context, route, (b"x-signature", b"hunter2"))
            assert isinstance(asking, CacheableRequest)
            assert "hunter2" not in f"{asking!r} {asking.known!r} {asking.query!r}"

    asyncio.run(main())


@pytest.mark.parametrize("remote", [True, False])
def test_one_look_says_whether_a_scope_is_empty(monkeypatch: pytest.MonkeyPatch, remote: bool) -> None:
    looks: list[bytes] = []
    has_scope = MemoryVectorStore.has_scope

    def counting(self: MemoryVectorStore, scope: bytes) -> bool:
        looks.append(scope)
        return has_scope(self, scope)

    async def main() -> None:
        components = {"response_store": Remote()} if remote else {}
        async with serving(components=components, semcache={"namespace": "n"}) as rig:
            await rig.client.chat("What is the capital of France?")
            await settled(rig)
            monkeypatch.setattr(MemoryVectorStore, "has_scope", counting)
            await rig.client.chat("Which river flows through Rome?")
            assert rig.decisions[-1] == ("miss", "below-threshold")
            assert len(looks) == 1

    asyncio.run(main())


def test_no_caller_makes_long_paths_be_remembered() -> None:
    async def main() -> None:
        async with serving() as rig:
            tracemalloc.start()
            for number in range(400):
                for path in (f"/{number}/{'a' * 10_000}", f"/{number}/{'a' * 10_000}/v1/chat/completions"):
                    await rig.client.send(path, BODY, headers=[(b"cache-control", b"no-store")])
            rig.upstream.calls.clear()
            kept, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert kept < 2_000_000

    asyncio.run(main())


class Remote:
    """A store that has to be waited for, as one behind a network has."""

    def __init__(self) -> None:
        self._store = MemoryResponseStore(MemoryResponseOptions())

    async def __aenter__(self) -> Self:
        await self._store.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._store.__aexit__(*error)

    async def get(self, ids: Sequence[bytes], *, now: float) -> Sequence[Stored | None]:
        await asyncio.sleep(0)
        return await self._store.get(ids, now=now)

    async def set(self, id: bytes, data: bytes, *, keep_until: float | None, tags: Sequence[bytes]) -> None:
        await self._store.set(id, data, keep_until=keep_until, tags=tags)

    async def delete(self, ids: Sequence[bytes]) -> None:
        await self._store.delete(ids)

    async def invalidate(self, tags: Sequence[bytes], *, before: float) -> None:
        await self._store.invalidate(tags, before=before)


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the extractor reads from now on."""
    read: list[bytes] = []
    extract = OpenAIChat.extract

    def counting(self: OpenAIChat, request: Request) -> Key | Bypass | None:
        read.append(request.body)
        return extract(self, request)

    monkeypatch.setattr(OpenAIChat, "extract", counting)
    return read


def test_a_repeat_is_not_read_although_its_store_has_to_be_waited_for(readings: list[bytes]) -> None:
    async def main() -> None:
        async with serving(components={"response_store": Remote()}, semcache={"namespace": "n"}) as rig:
            await rig.client.chat()
            await settled(rig)
            assert [(await rig.client.chat()).cache for _ in range(3)] == ["HIT"] * 3
            assert len(readings) == 1

    asyncio.run(main())


def test_a_repeat_that_does_without_the_cache_is_not_read(readings: list[bytes]) -> None:
    async def main() -> None:
        async with serving() as rig:
            off = ((b"semcache-control", b"mode=off"),)
            assert [(await rig.client.chat(headers=off)).cache for _ in range(3)] == ["BYPASS"] * 3
            assert len(readings) == 1

    asyncio.run(main())


def test_a_known_request_that_can_no_longer_be_read_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with serving() as rig:
            await rig.client.chat()
            rig.clock.advance(10 * 86400)
            monkeypatch.setattr(OpenAIChat, "extract", broken)
            answer = await rig.client.chat()
            assert (answer.status, answer.cache) == (200, "BYPASS")
            assert rig.cache.stats().bypasses == {"extract-error": 1}

    def broken(self: OpenAIChat, request: Request) -> None:
        raise RuntimeError("broken")

    asyncio.run(main())


def test_a_refresh_that_can_no_longer_be_read_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with serving(semcache={"ttl": 100, "stale_while_revalidate": 50}) as rig:
            await rig.client.chat()
            rig.clock.advance(112)
            monkeypatch.setattr(OpenAIChat, "extract", broken)
            answer = await rig.client.chat()
            assert (answer.status, answer.cache) == (200, "STALE")
            assert rig.cache.stats().errors == {"extract": 1}

    def broken(self: OpenAIChat, request: Request) -> None:
        raise RuntimeError("broken")

    asyncio.run(main())


LONG_TAGS = b'tags="%b"' % b" ".join(b"%d-%b" % (number, b"x" * 60) for number in range(32))


@pytest.mark.parametrize(
    ("header", "read"),
    [
        ((b"semcache-control", b"tags=a"), 1),
        ((b"semcache-control", LONG_TAGS), 3),
        ((b"x-mood", b"calm"), 1),
        ((b"x-mood", b"calm" * 300), 3),
    ],
)
def test_a_head_is_remembered_unless_its_caller_made_it_long(
    readings: list[bytes], header: tuple[bytes, bytes], read: int
) -> None:
    async def main() -> None:
        async with serving(http={"allow_directives": ["tags"]}) as rig:
            said = [(await rig.client.chat(headers=(header,))).cache for _ in range(3)]
            assert said == ["MISS", "HIT", "HIT"]
            assert len(readings) == read

    asyncio.run(main())


def test_bodies_of_two_codings_are_two_requests_even_where_the_coding_is_ignored() -> None:
    async def main() -> None:
        async with serving(http={"ignore_headers": ["content-*"]}) as rig:
            assert (await rig.client.chat()).cache == "MISS"
            packed = await rig.client.chat(headers=((b"content-encoding", b"gzip"),))
            assert (packed.status, packed.cache) == (200, "BYPASS")

    asyncio.run(main())


async def settled(rig: Any) -> None:
    """Wait until the answer is written."""
    async with asyncio.timeout(5):
        while len(rig.cache.lifecycle.here().engine._writes._waiting):
            await asyncio.sleep(0.001)


def test_a_value_that_is_put_again_is_the_newest_and_displaces_no_other() -> None:
    recent: FifoCache[str] = FifoCache(2)
    recent.put(b"first", "a")
    recent.put(b"second", "b")
    recent.put(b"first", "c")
    assert (recent.get(b"first"), recent.get(b"second")) == ("c", "b")
    recent.put(b"third", "d")
    assert (recent.get(b"first"), recent.get(b"second")) == ("c", None)


def test_what_was_worked_out_is_forgotten_the_oldest_first() -> None:
    recent: FifoCache[str] = FifoCache(2)
    for name in (b"a", b"b", b"c"):
        recent.put(name, "x")
    assert [recent.get(name) is None for name in (b"a", b"b", b"c")] == [True, False, False]
    assert len(recent) == 2


@pytest.mark.parametrize("capacity", [0, -1])
def test_no_capacity_remembers_nothing(capacity: int) -> None:
    recent: FifoCache[str] = FifoCache(capacity)
    recent.put(b"a", "x")
    assert recent.get(b"a") is None
