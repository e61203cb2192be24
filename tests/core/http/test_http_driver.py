"""The ASGI driver moves bytes: what the application receives, what the caller gets, and what is left untouched."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from semcache_core.builtin.json import JsonBody
from semcache_core.http.route import Deployment
from semcache_core.plugin import Component, hookimpl
from semcache_core.types import API

from .asgi_client import KEY, Client, Upstream, chat, completion, says, serving

CHAT = "/v1/chat/completions"
ROUTE = {"route": [{"path": "/ask"}]}
QUESTION = {"question": "What is the capital of France?"}


# -- not ours ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", CHAT),
        ("POST", "/v1/images/generations"),
        ("POST", "/v1/chat/completions/"),
        ("POST", "/upload"),
        ("POST", "/v1/moderations"),
        ("POST", "/v1/audio/speech"),
    ],
)
def test_what_no_extractor_claims_goes_through_with_the_same_receive_and_send(method: str, path: str) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([scope, receive, send])
        await says({"a": 1})(scope, receive, send)

    app.is_app = True  # type: ignore[attr-defined]

    async def main() -> None:
        async with serving(app) as rig:
            exchange = rig.client.open(path, [b"x"], method=method)
            receive, send = exchange._receive, exchange._send
            await rig.client.app(exchange.scope, receive, send)
            assert seen == [exchange.scope, receive, send]
            assert exchange.response.headers == [(b"content-type", b"application/json")]
            assert rig.decisions == []

    asyncio.run(main())


def test_other_scopes_are_not_ours() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    app.is_app = True  # type: ignore[attr-defined]

    async def main() -> None:
        async with serving(app) as rig:
            await rig.client.app({"type": "websocket", "path": CHAT}, None, None)
            assert seen == ["websocket"]

    asyncio.run(main())


def test_an_unrelated_upload_of_11_mib_is_not_ours() -> None:
    async def main() -> None:
        upstream = Upstream(says(b"ok", content_type=b"text/plain"))
        async with serving(upstream) as rig:
            pieces = [bytes(1 << 20)] * 11
            answer = await rig.client.send("/upload", pieces)
            assert (answer.status, answer.cache) == (200, None)
            assert upstream.bodies == [pieces]

    asyncio.run(main())


def test_the_kill_switch_leaves_everything_untouched() -> None:
    async def main() -> None:
        async with serving(semcache={"mode": "off"}) as rig:
            assert (await rig.client.chat()).cache is None
            assert rig.decisions == []

    asyncio.run(main())


# -- the application receives what was sent ---------------------------------------------------------------------------


def test_the_application_receives_the_bytes_in_the_same_pieces() -> None:
    body = json.dumps(chat()).encode()
    pieces = [body[:10], b"", body[10:11], body[11:], b""]

    async def main() -> None:
        upstream = Upstream()
        async with serving(upstream) as rig:
            await rig.client.send(CHAT, pieces)
            assert upstream.bodies == [pieces]

    asyncio.run(main())


def test_a_body_over_max_body_is_forwarded_in_its_pieces_as_it_comes() -> None:
    pieces = [b"x" * 1000] * 5

    async def main() -> None:
        upstream = Upstream()
        async with serving(upstream, semcache={"max_body": 2048}) as rig:
            answer = await rig.client.send(CHAT, pieces)
            assert upstream.bodies == [pieces]
            assert answer.cache_status == "semcache; fwd=bypass; detail=body-too-large"

    asyncio.run(main())


@pytest.mark.parametrize("length", [b"9" * 5000, b"-1", b"", b"1e3"])
def test_a_length_that_no_body_has_is_the_applications_business(length: bytes) -> None:
    async def main() -> None:
        async with serving() as rig:
            body = json.dumps(chat()).encode()
            answer = await rig.client.send(CHAT, [body[:9], body[9:]], headers=[(b"content-length", length)])
            assert answer.json() == completion()
            assert b"".join(rig.upstream.bodies[0]) == body

    asyncio.run(main())


def test_a_body_over_max_body_is_not_waited_for() -> None:
    """The application begins before the caller has sent the rest."""

    async def main() -> None:
        began = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            began.set()
            while (await receive()).get("more_body"):
                pass
            await says()(scope, receive, send)

        app.is_app = True  # type: ignore[attr-defined]
        async with serving(app, semcache={"max_body": 2048}) as rig:
            exchange = rig.client.open(CHAT, [b"x" * 1000] * 5, headers=[(b"content-length", b"5000")])
            receive = exchange._receive

            async def slowly() -> Any:
                if exchange._sent == 3:
                    await asyncio.wait_for(began.wait(), 5)
                return await receive()

            await rig.client.app(exchange.scope, slowly, exchange._send)
            assert exchange.response.complete

    asyncio.run(main())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"not json",
        b"\xff\xfe\x00",
        b"\xef\xbb\xbf{}",
        b"[" * 10_000,
        b'{"model": "m", "messages": ' + b"[" * 10_000,
        b'{"model": NaN, "messages": []}',
        b'{"model": "\\ud800", "messages": [{"role": "user", "content": "hi there"}]}',
        b'{"model": "a", "model": "b", "messages": [{"role": "user", "content": "hi there you"}]}',
        b'{"model": "m", "messages": [{"role": "user", "content": "a\\u0000b c d"}]}',
        b'{"model": "m", "messages": "hello"}',
        b"null",
        b"7",
    ],
    ids=range(14),
)
def test_bad_input_reaches_the_application_byte_for_byte(body: bytes) -> None:
    async def main() -> None:
        upstream = Upstream()
        async with serving(upstream) as rig:
            for _ in range(2):
                answer = await rig.client.send(CHAT, body)
                assert answer.json() == completion()
            assert b"".join(upstream.bodies[0]) == body

    asyncio.run(main())


VALID = json.dumps(chat("What is the capital of France?", temperature=0.5, stop=["a"], tools=None, user="u")).encode()
MUTATIONS = st.lists(
    st.tuples(st.integers(0, len(VALID)), st.integers(0, 3), st.binary(max_size=3)), min_size=1, max_size=4
)


@given(MUTATIONS, st.lists(st.integers(0, len(VALID)), max_size=4))
def test_a_mutated_chat_body_reaches_the_application_byte_for_byte_in_its_pieces(
    mutations: list[tuple[int, int, bytes]], cuts: list[int]
) -> None:
    body = VALID
    for at, dropped, inserted in mutations:
        body = body[:at] + inserted + body[at + dropped :]
    places = sorted({min(cut, len(body)) for cut in cuts})
    pieces = [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]

    async def main() -> None:
        upstream = Upstream()
        async with serving(upstream) as rig:
            first = await rig.client.send(CHAT, pieces)
            again = await rig.client.send(CHAT, pieces)
            assert upstream.bodies[0] == pieces
            assert first.body == again.body

    asyncio.run(main())


def test_a_compressed_request_is_decoded_for_the_key_and_forwarded_as_it_came() -> None:
    body = json.dumps(chat()).encode()
    packed = gzip.compress(body)
    coded = [(b"content-encoding", b"gzip")]

    async def main() -> None:
        upstream = Upstream()
        async with serving(upstream) as rig:
            first = await rig.client.send(CHAT, packed, headers=coded)
            assert first.cache == "MISS"
            assert upstream.bodies == [[packed]]
            assert (await rig.client.send(CHAT, gzip.compress(body, 1), headers=coded)).cache == "HIT"

    asyncio.run(main())


@pytest.mark.parametrize("packed", [b"no gzip", gzip.compress(bytes(8 << 20))], ids=["broken", "bomb"])
def test_a_compressed_request_that_cannot_be_read_is_forwarded_as_it_came(packed: bytes) -> None:
    async def main() -> None:
        upstream = Upstream()
        async with serving(upstream) as rig:
            answer = await rig.client.send(CHAT, packed, headers=[(b"content-encoding", b"gzip")])
            assert answer.cache_status == "semcache; fwd=bypass; detail=request-coding"
            assert upstream.bodies == [[packed]]

    asyncio.run(main())


def test_a_client_that_leaves_before_its_body_is_whole_is_the_applications_business() -> None:
    async def main() -> None:
        received: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            received.extend([await receive(), await receive()])

        app.is_app = True  # type: ignore[attr-defined]
        async with serving(app) as rig:
            messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
            left = list(messages)

            async def receive() -> Any:
                return left.pop(0)

            await rig.client.app(rig.client.open(CHAT, []).scope, receive, None)
            assert received == messages

    asyncio.run(main())


# -- what the caller gets ---------------------------------------------------------------------------------------------


def test_a_miss_and_a_hit_say_what_they_are() -> None:
    async def main() -> None:
        async with serving() as rig:
            first = await rig.client.chat()
            assert (first.cache_status, first.cache, first.header("semcache-entry")) == (
                "semcache; fwd=miss; detail=empty-scope",
                "MISS",
                None,
            )
            rig.clock.advance(20)
            hit = await rig.client.chat()
            assert (hit.cache_status, hit.cache, hit.header("age")) == (
                "semcache; hit; ttl=86380; detail=exact",
                "HIT",
                "20",
            )
            assert hit.header("semcache-entry")
            assert hit.body == first.body

    asyncio.run(main())


def test_a_semantic_hit_says_so_and_has_a_fresh_id() -> None:
    async def main() -> None:
        async with serving() as rig:
            await rig.client.chat("what is the weather like in Paris")
            hit = await rig.client.chat("what is the weather like in Paris?")
            assert hit.cache_status == "semcache; hit; ttl=86400; detail=semantic"
            assert hit.json()["id"] != completion()["id"]
            assert hit.json()["choices"] == completion()["choices"]
            assert len(rig.upstream.calls) == 1

    asyncio.run(main())


def test_cache_status_is_appended_to_what_stands_there() -> None:
    async def main() -> None:
        async with serving(says(headers=[(b"cache-status", b"cdn; fwd=miss")])) as rig:
            assert (await rig.client.chat()).all("cache-status") == [
                "cdn; fwd=miss",
                "semcache; fwd=miss; detail=empty-scope",
            ]

    asyncio.run(main())


def test_a_bypass_changes_nothing_but_two_fields() -> None:
    async def main() -> None:
        async with serving(says(headers=[(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")])) as rig:
            answer = await Client(rig.client.app, headers=()).chat()
            assert answer.cache_status == "semcache; fwd=bypass; detail=no-identity"
            assert answer.cache == "BYPASS"
            assert answer.all("set-cookie") == ["a=1", "b=2"]
            assert answer.json() == completion()
            assert rig.decisions == [("bypass", "no-identity")]

    asyncio.run(main())


@pytest.mark.parametrize("asked", ["bypass", "miss"])
@pytest.mark.parametrize("kind", [bytearray, memoryview, bytes.decode])
def test_names_and_values_that_are_no_bytes_pass_where_the_server_takes_them(kind: Any, asked: str) -> None:
    async def unusual(scope: Any, receive: Any, send: Any) -> None:
        head = [(kind(b"Content-Type"), kind(b"text/plain")), (kind(b"Semcache-Control"), kind(b"ttl=60"))]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b"hello"})

    async def main() -> None:
        async with serving(unusual) as rig:
            answer = await rig.client.chat(headers=[(b"idempotency-key", b"1")] if asked == "bypass" else ())
            assert answer.cache == asked.upper()
            assert answer.body == b"hello"
            assert answer.header("content-type") == "text/plain"
            assert answer.header("semcache-control") is None

    asyncio.run(main())


@pytest.mark.parametrize("marked", [True, False])
def test_what_the_application_tells_the_cache_reaches_no_caller_not_even_on_a_bypass(marked: bool) -> None:
    async def main() -> None:
        tagged = says(headers=[(b"Semcache-Control", b"tags=tenant-7")])
        async with serving(tagged, http={"status_headers": marked}) as rig:
            assert (await rig.client.chat()).header("semcache-control") is None
            bypassed = await rig.client.chat(headers=[(b"idempotency-key", b"1")])
            assert bypassed.header("semcache-control") is None

    asyncio.run(main())


def test_whatever_form_of_head_and_body_asgi_allows_is_understood() -> None:
    async def unusual(scope: Any, receive: Any, send: Any) -> None:
        data = memoryview(json.dumps(completion()).encode())
        head = iter([[b"Content-Type", b"application/json"], [b"Semcache-Control", b"ttl=60"]])
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": data[:9], "more_body": True})
        await send({"type": "http.response.body", "body": data[9:]})

    async def main() -> None:
        async with serving(unusual) as rig:
            for expected in ("semcache; fwd=miss; detail=empty-scope", "semcache; hit; ttl=60; detail=exact"):
                exchange = rig.client.open(CHAT, [json.dumps(chat()).encode()])
                exchange.scope["headers"] = [list(field) for field in exchange.scope["headers"]]
                await exchange.run()
                assert exchange.response.cache_status == expected
                assert exchange.response.json() == completion()
                assert exchange.response.header("semcache-control") is None

    asyncio.run(main())


def test_status_headers_of_bypasses_may_be_turned_off() -> None:
    async def main() -> None:
        async with serving(http={"status_headers": False}) as rig:
            assert (await Client(rig.client.app, headers=()).chat()).headers == [(b"content-type", b"application/json")]

    asyncio.run(main())


def test_only_if_cached_answers_504_on_a_miss_and_says_nothing_of_a_cache() -> None:
    async def main() -> None:
        async with serving() as rig:
            only = [(b"cache-control", b"only-if-cached")]
            answer = await rig.client.chat(headers=only)
            assert (answer.status, answer.cache_status, rig.upstream.calls) == (504, None, [])
            assert answer.json()["error"]["type"] == "only-if-cached"
            await rig.client.chat()
            assert (await rig.client.chat(headers=only)).cache == "HIT"

    asyncio.run(main())


def test_what_middleware_adds_to_one_504_of_only_if_cached_is_not_in_the_next() -> None:
    async def main() -> None:
        async with serving() as rig:

            async def with_cookie(scope: Any, receive: Any, send: Any) -> None:
                async def sent(message: Any) -> None:
                    # As Starlette's MutableHeaders do: in place.
                    if message["type"] == "http.response.start":
                        message["headers"].append((b"set-cookie", b"session=alice"))
                    await send(message)

                await rig.client.app(scope, receive, sent)

            outside = Client(with_cookie, headers=rig.client.headers)
            only = [(b"cache-control", b"only-if-cached")]
            for _ in range(2):
                answer = await outside.chat(headers=only)
                assert [name for name, _ in answer.headers].count(b"set-cookie") == 1

    asyncio.run(main())


def test_no_cache_goes_upstream_and_refreshes_the_entry() -> None:
    async def main() -> None:
        async with serving() as rig:
            await rig.client.chat()
            rig.clock.advance(100)
            assert (await rig.client.chat(headers=[(b"cache-control", b"no-cache")])).cache == "MISS"
            assert (await rig.client.chat()).header("age") == "0"

    asyncio.run(main())


def test_max_age_refuses_what_is_older() -> None:
    async def main() -> None:
        async with serving() as rig:
            await rig.client.chat()
            rig.clock.advance(100)
            assert (await rig.client.chat(headers=[(b"cache-control", b"max-age=200")])).cache == "HIT"
            assert (await rig.client.chat(headers=[(b"cache-control", b"max-age=50")])).cache == "MISS"

    asyncio.run(main())


def test_the_age_of_a_generic_answer_goes_on_from_the_one_it_came_with() -> None:
    cached_before = says({"answer": 42}, headers=[(b"cache-control", b"max-age=600"), (b"age", b"50")])

    async def main() -> None:
        async with serving(cached_before, route=[{"path": "/ask", "json": {"text": "$.question"}}]) as rig:
            body = {"question": "What is the capital of France?"}
            await rig.client.send("/ask", body)
            rig.clock.advance(5)
            assert (await rig.client.send("/ask", body)).header("age") == "55"
            too_old = await rig.client.send("/ask", body, headers=[(b"cache-control", b"max-age=30")])
            assert too_old.cache == "MISS"

    asyncio.run(main())


def test_why_answers_are_not_stored_is_counted() -> None:
    async def main() -> None:
        cut = completion()
        cut["choices"][0]["finish_reason"] = "length"
        async with serving(says(cut)) as rig:
            await rig.client.chat()
            await rig.client.chat(headers=[(b"cache-control", b"no-store")])
            assert rig.cache.stats().unstored == {"finish-length": 1, "no-store": 1}

    asyncio.run(main())


def test_semcache_control_and_the_debug_token_never_reach_the_application() -> None:
    async def main() -> None:
        async with serving() as rig:
            for value in (b"mode=exact", b"mode=off", b"what is this"):
                await rig.client.chat(headers=[(b"semcache-control", value), (b"semcache-debug", b"x")])
            names = [name for call in rig.upstream.calls for name, _ in call["headers"]]
            assert b"authorization" in names
            assert not {b"semcache-control", b"semcache-debug"} & set(names)

    asyncio.run(main())


def test_a_malformed_directive_bypasses() -> None:
    async def main() -> None:
        async with serving() as rig:
            answer = await rig.client.chat(headers=[(b"semcache-control", b"mode=fast")])
            assert answer.cache_status == "semcache; fwd=bypass; detail=malformed-directive"

    asyncio.run(main())


def test_a_caller_may_ask_for_exact_matches_only() -> None:
    async def main() -> None:
        async with serving() as rig:
            await rig.client.chat("what is the weather like in Paris")
            exact = [(b"semcache-control", b"mode=exact")]
            assert (await rig.client.chat("what is the weather like in Paris?", headers=exact)).cache == "MISS"

    asyncio.run(main())


SEMANTIC = [(b"semcache-control", b"mode=semantic")]
REWORDED = tuple(f"what is the weather like in Paris{mark}" for mark in ("", "?", "!"))


@pytest.mark.parametrize(
    "tables",
    [
        {"semcache": {"match": "exact"}},
        {"semcache": {}, "route": [{"path": "/v1/chat/completions", "match": "exact"}]},
    ],
    ids=["everywhere", "on a route"],
)
def test_a_caller_may_have_near_texts_compared_on_an_exact_route_where_it_is_allowed(tables: dict[str, Any]) -> None:
    async def main() -> None:
        async with serving(http={"allow_directives": ["mode"]}, **tables) as rig:
            one, other, third = REWORDED
            assert (await rig.client.chat(one, headers=SEMANTIC)).cache == "MISS"
            assert (await rig.client.chat(other)).cache == "MISS"
            assert (await rig.client.chat(third, headers=SEMANTIC)).cache == "HIT"
            assert rig.decisions[-1] == ("hit", "semantic")

    asyncio.run(main())


def test_what_near_texts_need_on_an_exact_route_is_the_threshold_of_the_configuration() -> None:
    async def main() -> None:
        http = {"allow_directives": ["mode"]}
        async with serving(semcache={"match": "exact", "threshold": 0.999}, http=http) as rig:
            one = REWORDED[0]
            answers = [await rig.client.chat(text, headers=SEMANTIC) for text in (one, f"{one} please")]
            assert [answer.cache for answer in answers] == ["MISS"] * 2
            assert rig.decisions[-1] == ("miss", "below-threshold")

    asyncio.run(main())


def test_similarity_and_matched_text_are_told_with_the_token_only() -> None:
    async def main() -> None:
        async with serving(http={"debug_token": "open-sesame"}) as rig:
            await rig.client.chat("what is the weather like in Paris")
            near = "what is the weather like in Paris?"
            assert (await rig.client.chat(near)).header("semcache-matched") is None
            told = await rig.client.chat(near, headers=[(b"semcache-debug", b"open-sesame")])
            assert told.header("semcache-matched") == "what is the weather like in Paris"
            assert float(told.header("semcache-similarity") or 0) > 0.9

    asyncio.run(main())


def test_observe_decides_and_records_but_always_asks_upstream() -> None:
    async def main() -> None:
        async with serving(semcache={"mode": "observe"}) as rig:
            for _ in range(2):
                assert (await rig.client.chat()).cache == "MISS"
            assert len(rig.upstream.calls) == 2
            assert [outcome for outcome, _ in rig.decisions] == ["miss", "hit"]
            assert rig.heard.events[-1].observed

    asyncio.run(main())


def test_observe_asks_upstream_even_for_who_wants_a_cached_answer_only() -> None:
    async def main() -> None:
        async with serving(semcache={"mode": "observe"}) as rig:
            assert (await rig.client.chat(headers=[(b"cache-control", b"only-if-cached")])).status == 200

    asyncio.run(main())


def test_every_claimed_request_makes_exactly_one_decision() -> None:
    async def main() -> None:
        async with serving() as rig:
            await rig.client.chat()
            await rig.client.chat()
            await rig.client.chat(headers=[(b"cache-control", b"no-cache")])
            await rig.client.send(CHAT, b"{")
            await Client(rig.client.app, headers=()).chat()
            assert [outcome for outcome, _ in rig.decisions] == ["miss", "hit", "miss", "bypass", "bypass"]
            assert rig.cache.stats().requests == 5

    asyncio.run(main())


# -- who asks, and where ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scope",
    [
        {"root_path": "/mounted"},
        {"scheme": "https"},
        {"query_string": b"api-version=2"},
        {"raw_path": b"/v2/chat/completions"},
        {"headers": [(b"host", b"other.example"), KEY]},
        {"headers": [(b"host", b"testserver"), (b"authorization", b"Bearer bob")]},
        {"headers": [(b"host", b"testserver"), KEY, (b"openai-project", b"p")]},
    ],
    ids=["mount", "scheme", "query", "path", "host", "caller", "project"],
)
def test_another_place_or_caller_shares_nothing(scope: dict[str, Any]) -> None:
    async def main() -> None:
        async with serving() as rig:
            assert await rig.asked_twice() == "HIT"
            exchange = rig.client.open(CHAT, [json.dumps(chat()).encode()], scope=scope)
            await exchange.run()
            assert exchange.response.cache == "MISS"

    asyncio.run(main())


def test_a_server_that_tells_no_raw_path_is_served() -> None:
    async def main() -> None:
        async with serving() as rig:
            for expected in ("MISS", "HIT"):
                exchange = rig.client.open(CHAT, [json.dumps(chat()).encode()])
                del exchange.scope["raw_path"]
                await exchange.run()
                assert exchange.response.cache == expected

    asyncio.run(main())


def test_a_credential_that_has_ended_is_no_longer_answered() -> None:
    token = b"eyJhbGciOiJub25lIn0.eyJleHAiOiAxODAwMDAwMDAwfQ.c2ln"  # exp 1800000000

    async def main() -> None:
        async with serving() as rig:
            rig.clock.now = 1799999990.0
            client = Client(rig.client.app, headers=[(b"authorization", b"Bearer " + token)])
            assert [(await client.chat()).cache for _ in range(3)] == ["MISS", "HIT", "HIT"]
            rig.clock.advance(11)
            assert (await client.chat()).cache_status == "semcache; fwd=bypass; detail=expired-credential"

    asyncio.run(main())


def test_the_application_may_say_who_asks() -> None:
    async def main() -> None:
        place = Deployment(by_application=True)
        async with serving(
            place=place, identity=lambda scope: dict(scope["headers"]).get(b"x-who", b"").decode()
        ) as rig:
            alice, bob = [(b"x-who", b"alice")], [(b"x-who", b"bob")]
            client = Client(rig.client.app, headers=())
            assert (await client.chat(headers=alice)).cache == "MISS"
            assert (await client.chat(headers=alice)).cache == "HIT"
            assert (await client.chat(headers=bob)).cache == "MISS"
            assert (await client.chat()).cache == "BYPASS"

    asyncio.run(main())


def test_an_application_that_says_who_asks_replaces_the_default_identity_and_one_notice_says_so() -> None:
    async def main() -> None:
        async with serving(says(), identity=lambda scope: "ann") as rig:
            for _ in range(2):
                await rig.client.chat()
            told = [notice.message for notice in rig.heard.notices if "identity" in notice.message]
            assert told == [
                "the default identity is replaced: credentials that are not named no longer keep callers apart"
            ]

    asyncio.run(main())


def test_an_application_that_says_who_asks_leaves_no_effect_to_a_configured_identity() -> None:
    async def main() -> None:
        async with serving(says(), http={"identity": ["x-user"]}, identity=lambda scope: "ann") as rig:
            await rig.client.chat()
            told = [notice.message for notice in rig.heard.notices]
            assert "http.identity and http.jwt have no effect: the application itself says who asks" in told

    asyncio.run(main())


def test_a_caller_whose_name_cannot_be_found_out_bypasses() -> None:
    def failing(scope: Any) -> str:
        raise LookupError("no session")

    async def main() -> None:
        async with serving(identity=failing) as rig:
            answer = await rig.client.chat()
            assert (answer.status, answer.cache_status) == (200, "semcache; fwd=bypass; detail=no-identity")

    asyncio.run(main())


def test_a_caller_whose_name_is_no_text_bypasses_and_a_warning_says_so(caplog: pytest.LogCaptureFixture) -> None:
    number: Any = 7

    async def main() -> None:
        async with serving(identity=lambda scope: number) as rig:
            answer = await rig.client.chat()
            assert (answer.status, answer.cache_status) == (200, "semcache; fwd=bypass; detail=no-identity")

    asyncio.run(main())
    assert "identity() returned int, not str or None: the request bypasses the cache" in caplog.text


@pytest.mark.parametrize("who", ["", "  ", "None", "null", "undefined", "<shop.User object at 0x7F5c3f4a8690>"])
def test_what_an_application_says_of_nobody_in_particular_is_no_identity(who: str) -> None:
    async def main() -> None:
        async with serving(identity=lambda scope: who) as rig:
            assert (await rig.client.chat()).cache_status == "semcache; fwd=bypass; detail=no-identity"

    asyncio.run(main())


def test_a_proxy_on_loopback_serves_callers_without_identity() -> None:
    async def main() -> None:
        async with serving(place=Deployment(upstream="https://llm.example", anonymous=True)) as rig:
            client = Client(rig.client.app, headers=[(b"host", b"localhost:8080")])
            assert [(await client.chat()).cache for _ in range(2)] == ["MISS", "HIT"]

    asyncio.run(main())


def test_a_driver_may_claim_further_json_paths() -> None:
    async def main() -> None:
        async with serving(says({"a": 1}), place=Deployment(paths=("/ask",), methods=("POST", "PUT"))) as rig:
            assert [(await rig.client.send("/ask", QUESTION)).cache for _ in range(2)] == ["MISS", "HIT"]
            assert (await rig.client.send("/ask", QUESTION, method="PUT")).cache == "MISS"
            assert (await rig.client.send("/ask", QUESTION, method="PATCH")).cache is None
            assert (await rig.client.send("/other", QUESTION)).cache is None

    asyncio.run(main())


class Shouted(JsonBody):
    """An extractor of somebody else's that takes paths, and has a traits set of its own."""

    traits = structs.replace(API, private_hits=True)


class Shouting:
    @hookimpl
    def semcache_key_extractors(self) -> list[Component]:
        return [Component("shouted", f"{__name__}:Shouted")]


def test_paths_of_a_driver_reach_any_extractor_that_takes_them() -> None:
    async def main() -> None:
        use = {"use": ["openai-chat", "shouted"]}
        place = Deployment(paths=("/ask",))
        async with serving(says({"a": 1}), place=place, plugins=[Shouting()], key_extractors=use) as rig:
            await rig.client.send("/ask", QUESTION)
            hit = await rig.client.send("/ask", QUESTION)
            assert hit.cache == "HIT"
            assert dict(hit.headers)[b"cache-control"] == b"private, no-store"
            assert (await rig.client.send("/other", QUESTION)).cache is None

    asyncio.run(main())


def test_a_route_has_its_own_policy() -> None:
    async def main() -> None:
        async with serving(says({"a": 1}), route=[{"path": "/ask", "ttl": 10}]) as rig:
            await rig.client.send("/ask", QUESTION)
            assert (await rig.client.send("/ask", QUESTION)).cache_status == "semcache; hit; ttl=10; detail=exact"

    asyncio.run(main())


# -- identity = "shared" ----------------------------------------------------------------------------------------------

SHARED = {"http": {"identity": "shared"}}


def test_under_a_shared_identity_a_credential_is_answered_only_after_upstream_took_it() -> None:
    async def main() -> None:
        async with serving(**SHARED) as rig:
            bob = Client(rig.client.app, headers=[(b"authorization", b"Bearer bob")])
            await rig.client.chat()
            assert (await rig.client.chat()).cache == "HIT"
            assert (await bob.chat()).cache == "MISS"
            assert (await bob.chat()).cache == "HIT"
            rig.clock.advance(3601)
            assert (await bob.chat()).cache == "MISS"

    asyncio.run(main())


def test_under_a_shared_identity_a_credential_that_upstream_has_yet_to_take_waits_for_nobody_elses_answer() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            if (b"authorization", b"Bearer mallory") in scope["headers"]:
                await says({"error": "who?"}, status=401)(scope, receive, send)
                return
            await gate.wait()
            await says()(scope, receive, send)

        async with serving(answer=Upstream(answer), **SHARED) as rig:
            leading = asyncio.create_task(rig.client.chat())
            equal = asyncio.create_task(rig.client.chat())
            await asyncio.sleep(0)
            mallory = Client(rig.client.app, headers=[(b"authorization", b"Bearer mallory")])
            assert (await asyncio.wait_for(mallory.chat(), 2)).status == 401
            gate.set()
            assert (await leading).status == 200
            assert (await equal).cache_status == "semcache; fwd=miss; collapsed"

    asyncio.run(main())


def test_under_a_shared_identity_a_credential_that_nobody_checks_elsewhere_proves_nothing_here() -> None:
    async def main() -> None:
        async def answer(scope: Any, receive: Any, send: Any) -> None:
            checked = scope["path"] == "/v1/chat/completions"
            junk = (b"authorization", b"Bearer junk") in scope["headers"]
            reply = says({"error": "who?"}, status=401) if checked and junk else says()
            await reply(scope, receive, send)

        async with serving(answer=Upstream(answer), **SHARED) as rig:
            junk = Client(rig.client.app, headers=[(b"authorization", b"Bearer junk")])
            await rig.client.chat()
            assert (await junk.send("/other/chat/completions", chat())).status == 200
            assert (await junk.chat()).status == 401
            assert (await rig.client.chat()).cache == "HIT"

    asyncio.run(main())


def test_under_a_shared_identity_no_credential_is_answered_only_where_upstream_asks_for_none() -> None:
    async def main() -> None:
        async def answer(scope: Any, receive: Any, send: Any) -> None:
            known = any(name == b"authorization" for name, _ in scope["headers"])
            await (says() if known else says({"error": "who?"}, status=401))(scope, receive, send)

        async with serving(answer=Upstream(answer), **SHARED) as rig:
            await rig.client.chat()
            assert (await Client(rig.client.app, headers=()).chat()).status == 401

    asyncio.run(main())


def test_under_a_shared_identity_callers_without_a_credential_are_answered() -> None:
    async def main() -> None:
        async with serving(**SHARED) as rig:
            nobody = Client(rig.client.app, headers=())
            assert [(await nobody.chat()).cache for _ in range(2)] == ["MISS", "HIT"]

    asyncio.run(main())


@pytest.mark.parametrize("value", [b"no-cache", b"max-age=0", b"max-age=3600"])
def test_under_a_shared_identity_no_caller_overwrites_an_entry_or_learns_its_age(value: bytes) -> None:
    async def main() -> None:
        upstream = Upstream()
        async with serving(upstream, **SHARED) as rig:
            await rig.client.chat()
            rig.clock.advance(5)
            upstream.answer = says(completion("poisoned"))
            assert b"poisoned" in (await rig.client.chat(headers=[(b"cache-control", value)])).body
            hit = await rig.client.chat()
            assert hit.cache == "HIT"
            assert b"poisoned" not in hit.body

    asyncio.run(main())


def test_under_a_shared_identity_the_answer_of_an_unproven_credential_replaces_no_live_entry() -> None:
    async def main() -> None:
        upstream = Upstream()
        async with serving(upstream, **SHARED) as rig:
            await rig.client.chat()
            upstream.answer = says(completion("another"))
            bob = Client(rig.client.app, headers=[(b"authorization", b"Bearer bob")])
            assert b"another" in (await bob.chat()).body
            for client in (rig.client, bob):
                hit = await client.chat()
                assert hit.cache == "HIT"
                assert b"another" not in hit.body
            rig.clock.advance(25 * 3600)
            assert b"another" in (await bob.chat()).body
            assert b"another" in (await bob.chat()).body

    asyncio.run(main())


def test_under_a_shared_identity_mode_off_stores_nothing_of_a_credential_that_upstream_has_yet_to_take() -> None:
    async def main() -> None:
        async with serving(**SHARED) as rig:
            answer = await rig.client.chat(headers=[(b"semcache-control", b"mode=off")])
            assert answer.cache_status == "semcache; fwd=bypass; detail=off"
            assert [(await rig.client.chat()).cache for _ in range(2)] == ["MISS", "HIT"]

    asyncio.run(main())


def test_under_a_shared_identity_neither_age_nor_ttl_is_told() -> None:
    async def main() -> None:
        async with serving(**SHARED) as rig:
            await rig.client.chat()
            hit = await rig.client.chat()
            assert (hit.cache_status, hit.header("age")) == ("semcache; hit; detail=exact", None)

    asyncio.run(main())


def test_under_a_shared_identity_a_wrong_credential_empties_nobodys_cache() -> None:
    async def main() -> None:
        upstream = Upstream()
        async with serving(upstream, **SHARED) as rig:
            await rig.client.chat()
            upstream.answer = says({"error": "who?"}, status=401)
            rig.clock.advance(1)
            assert (await Client(rig.client.app, headers=[(b"authorization", b"Bearer mallory")]).chat()).status == 401
            assert (await rig.client.chat()).cache == "HIT"

    asyncio.run(main())


@pytest.mark.parametrize("status", [401, 403])
def test_a_credential_that_upstream_refuses_loses_its_answers(status: int) -> None:
    async def main() -> None:
        upstream = Upstream()
        async with serving(upstream) as rig:
            assert await rig.asked_twice() == "HIT"
            rig.clock.advance(1)
            upstream.answer = says({"error": "revoked"}, status=status)
            assert (await rig.client.chat("another question about Paris")).status == status
            await asyncio.sleep(0)
            assert (await rig.client.chat()).cache == "MISS"

    asyncio.run(main())


@pytest.mark.parametrize("fresh", [False, True], ids=["hit", "miss"])
def test_a_request_leaves_nothing_to_the_garbage_collector(fresh: bool) -> None:
    """A cycle for each request would cost more than the request: memory grows cold until it is collected."""

    async def main() -> None:
        async with serving() as rig:
            await rig.client.chat("question number 0 of many")
            await asyncio.sleep(0.01)
            gc.collect()
            gc.disable()
            try:
                for number in range(20):
                    await rig.client.chat(f"question number {number if fresh else 0} of many")
                await asyncio.sleep(0.01)
                assert gc.collect() < 20
            finally:
                gc.enable()

    asyncio.run(main())


# -- faults of ours ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("half", ["extract", "recorder", "feed", "finish", "reply"])
def test_an_extractor_that_raises_never_reaches_the_caller(half: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from semcache_core.authoring.bodies import JsonRecorder
    from semcache_openai.chat import OpenAIChat

    def broken(*args: Any, **options: Any) -> Any:
        raise ZeroDivisionError

    async def main() -> None:
        async with serving() as rig:
            await rig.client.chat()
            owner = JsonRecorder if half in ("feed", "finish") else OpenAIChat
            monkeypatch.setattr(owner, half, broken)
            answer = await rig.client.chat(
                "something else about Paris" if half != "reply" else "What is the capital of France?"
            )
            assert answer.json() == completion()
            assert sum(rig.cache.stats().errors.values()) == 1

    asyncio.run(main())


def test_an_observer_that_raises_never_reaches_the_caller() -> None:
    class Broken:
        @hookimpl
        def semcache_observe(self, event: Any) -> None:
            raise ZeroDivisionError

    async def main() -> None:
        async with serving(plugins=[Broken()]) as rig:
            assert await rig.asked_twice() == "HIT"

    asyncio.run(main())


def test_what_the_application_raises_is_raised_unchanged() -> None:
    class OwnError(Exception):
        pass

    async def breaks(scope: Any, receive: Any, send: Any) -> None:
        raise OwnError

    async def main() -> None:
        async with serving(breaks) as rig:
            with pytest.raises(OwnError):
                await rig.client.chat()
            assert [outcome for outcome, _ in rig.decisions] == ["miss"]

    asyncio.run(main())
